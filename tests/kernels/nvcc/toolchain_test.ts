/** Which CUDA toolkit is taken, and what is said where there is none. */
import assert from "node:assert/strict";
import { join } from "@std/path";

const root = new URL("../../../", import.meta.url).pathname;

/** Runs the task's program with this environment. */
async function toolchain(env: Record<string, string>): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "-A", "kernels/toolchain.ts"],
    cwd: root,
    env: { NO_COLOR: "1", CUDA_HOME: "", ...env },
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

/** A folder with an nvcc that says this of itself. */
async function withToolkit(says: string, body: (home: string) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir();
  try {
    await Deno.mkdir(join(home, "bin"));
    await Deno.writeTextFile(join(home, "bin", "nvcc"), `#!/bin/sh\necho "${says}"\n`, { mode: 0o755 });
    await body(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("CUDA_HOME is taken before the installed toolkit", () =>
  withToolkit("Cuda compilation tools, release 13.1, V13.1.80", async (home) => {
    assert.deepEqual(await toolchain({ CUDA_HOME: home }), { code: 0, stdout: `${home}\n`, stderr: "" });
  }));

Deno.test("a CUDA_HOME that is too old, or none, is the user's mistake", () =>
  withToolkit("Cuda compilation tools, release 12.4, V12.4.131", async (home) => {
    const old = await toolchain({ CUDA_HOME: home });
    assert.deepEqual([old.code, old.stderr], [
      2,
      `Cannot use CUDA_HOME "${home}": it is release 12.4; wanted CUDA 13\n`,
    ]);
    const none = await toolchain({ CUDA_HOME: "/nowhere" });
    assert.deepEqual([none.code, none.stderr], [2, 'Cannot use CUDA_HOME "/nowhere": it has no bin/nvcc\n']);
  }));

Deno.test("the pinned wheels have a hash for each of two processors", async () => {
  const pins = (await Deno.readTextFile(join(root, "kernels", "toolchain.txt"))).split(/^(?=[a-z])/m).slice(1);
  assert.deepEqual(pins.map((pin) => pin.slice(0, pin.indexOf("="))), [
    "nvidia-cuda-cccl",
    "nvidia-cuda-crt",
    "nvidia-cuda-nvcc",
    "nvidia-cuda-runtime",
    "nvidia-nvvm",
  ]);
  for (const pin of pins) assert.equal([...pin.matchAll(/--hash=sha256:[0-9a-f]{64}\b/g)].length, 2, pin);
});

/** A copy of the programs with nothing built beside it, so that they have to install. */
async function withoutToolkit(body: (run: (env: Record<string, string>) => Promise<string>) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(join(folder, "kernels"));
    for (const name of ["toolchain.ts", "toolchain.txt", "objects.ts"]) {
      await Deno.copyFile(join(root, "kernels", name), join(folder, "kernels", name));
    }
    const imports = { "@std/path": new URL("cli/jsr/std_path/mod.ts", `file://${root}`).href };
    await Deno.writeTextFile(join(folder, "imports.json"), JSON.stringify({ imports }));
    await body(async (env) => {
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", "--no-check", "-A", `--import-map=${join(folder, "imports.json")}`].concat(
          join(folder, "kernels", "toolchain.ts"),
        ),
        env: { NO_COLOR: "1", CUDA_HOME: "", ...env },
      }).output();
      assert.equal(code, 2);
      assert.deepEqual(await Array.fromAsync(Deno.readDir(join(folder, "kernels", "build"))), [], "nothing is left");
      return new TextDecoder().decode(stderr);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("without Python one line says what is missing, and nothing is left", () =>
  withoutToolkit(async (run) => {
    const python = await run({ PATH: "/nowhere" });
    assert.match(
      python,
      /^Cannot install the CUDA toolchain: there is no python3; wanted Python 3 .*, or CUDA_HOME\n$/,
    );
  }));

const hasPython = await new Deno.Command("python3", { args: ["-c", "import ensurepip, venv"] }).output()
  .then(({ success }) => success, () => false);
if (!hasPython) {
  if (Deno.env.get("CI") === "true") throw new Error("Cannot test the CUDA toolchain: there is no Python with venv");
  console.log("skip the test of the CUDA toolchain without a network: there is no Python with venv");
}

Deno.test(
  "without a network one line says what could not be had, and nothing is left",
  { ignore: !hasPython },
  () =>
    withoutToolkit(async (run) => {
      const nowhere = "http://127.0.0.1:9/";
      const stderr = await run({
        PIP_INDEX_URL: nowhere,
        PIP_FIND_LINKS: "",
        PIP_RETRIES: "0",
        PIP_CONFIG_FILE: "/dev/null",
      });
      assert.match(
        stderr,
        /^Cannot install the CUDA toolchain: ERROR: .*nvidia-cuda-.*; wanted the network, or CUDA_HOME\n$/,
      );
    }),
);
