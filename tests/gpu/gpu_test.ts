/** The script for machines with a GPU, run from a packed folder on the emulated one. */
import assert from "node:assert/strict";
import { dirname, join } from "@std/path";
import { hasEmulator, sharedFolder } from "../shared.ts";
import { layOut } from "./pack.ts";

const golden = sharedFolder("golden/arch");
const library = new URL("../../kernels/build/libbowline_cuda_emulated.so", import.meta.url).pathname;

/** Runs a packed folder where nothing but the system's own programs can be found. */
async function run(folder: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(join(folder, "run.sh"), {
    args: ["--device", "cuda-emulated", "--micro"],
    cwd: dirname(folder),
    env: {
      PATH: "/usr/bin:/bin",
      DENO: Deno.execPath(),
      BOWLINE_SHARED: "/nowhere",
      BOWLINE_EMULATOR_CC: "80", // products by mma.sync, which the emulator does faster than wgmma
      NO_COLOR: "1",
    },
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test("a packed folder checks a device, and a difference is told", {
  ignore: !hasEmulator() || golden === null,
}, async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    const small = join(folder, "golden");
    await Deno.mkdir(small);
    for (const ending of ["json", "safetensors"]) {
      await Deno.copyFile(join(golden!, `olmoe-g4.${ending}`), join(small, `olmoe-g4.${ending}`));
    }
    const packed = join(folder, "packed");
    await Deno.mkdir(packed);
    await layOut(packed, { library, golden: small });
    const verdicts = (table: string) =>
      new Map(
        table.split("\n").filter((line) => line.startsWith("│ ")).map((line) => {
          const cells = line.split("│").map((cell) => cell.trim());
          return [cells[1]!, cells[3]!];
        }),
      );
    await t.step("nothing is wrong", async () => {
      const { code, stdout, stderr } = await run(packed);
      assert.equal(code, 0, stdout + stderr);
      assert.deepEqual([...verdicts(stdout)], [
        ["check", "verdict"],
        ["ops against f64", "ok"],
        ["compute-sanitizer", "skipped"],
        ["golden losses, f32", "ok"],
        ["golden losses, bf16", "ok"],
        ["grouped product, f32", ""],
        ["grouped product, bf16", ""],
        ["micro, f32", ""],
        ["micro, bf16", ""],
      ]);
    });
    await t.step("an op test that fails", async () => {
      await Deno.remove(join(packed, "golden"), { recursive: true });
      await Deno.writeTextFile(join(packed, "ops"), "#!/bin/sh\necho '9 passed; 1 failed'; exit 101\n");
      const { code, stdout, stderr } = await run(packed);
      assert.equal(code, 1, stdout + stderr);
      assert.match(stdout, /│ ops against f64 +│ 9 passed, 1 failed +│ WRONG +│/);
      assert.equal(verdicts(stdout).get("golden losses"), "skipped");
      assert.equal(verdicts(stdout).get("micro, f32"), "");
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
