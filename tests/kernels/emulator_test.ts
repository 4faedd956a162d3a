/**
 * The emulator's own tests: each case of the programs in emulator/ must end well, or fail with the message that it
 * names, whatever the order of threads. The planted bugs must be found at their lines.
 */
import assert from "node:assert/strict";
import { join } from "@std/path";
import { buildLibrary, buildProgram, hasCompiler, type Mode } from "../../kernels/build.ts";

const folder = new URL("emulator/", import.meta.url).pathname;
/** The natural order, an odd and an even one: asynchronous work is done early under odd seeds, late under even ones. */
const SEEDS = ["0", "1", "2"];

const PROGRAMS: readonly (readonly [name: string, mode: Mode])[] = [
  ["bfloat16", "emulated"],
  ["meeting", "emulated"],
  ["order", "emulated"],
  ["matrices", "emulated"],
  ["matrices", "checked"],
  ["asynchronous", "emulated"],
  ["warpgroup", "emulated"],
  ["warpgroup", "checked"],
  ["runtime", "emulated"],
  ["checker", "checked"],
  ["planted_bugs", "checked"],
];

const isBuildable = await hasCompiler();
if (!isBuildable) {
  if (Deno.env.get("CI") === "true") throw new Error("Cannot test the emulator: there is no C++ compiler");
  console.log("skip tests of the emulator: there is no C++ compiler (CXX names one)");
}

async function run(program: string, args: string[], seed = "0"): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, env: { BOWLINE_EMULATOR_SEED: seed } })
    .output();
  return { code, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

for (const [name, mode] of PROGRAMS) {
  Deno.test({
    name: `emulator: ${name}, ${mode}`,
    ignore: !isBuildable,
    fn: async (t) => {
      const program = await buildProgram(join(folder, `${name}.cu`), mode);
      const list = (await run(program, ["--list"])).output.split("\n").slice(0, -1).map((line) => line.split("\t"));
      assert.ok(list.length > 1, "there are cases");
      for (const [test, outcome, message] of list) {
        await t.step(`${test!.replaceAll("_", " ")}${outcome === "fails" ? " is an error" : ""}`, async () => {
          for (const seed of SEEDS) {
            const { code, output } = await run(program, [test!], seed);
            const text = `seed ${seed}, code ${code}, wanted "${message}": ${output}`;
            assert.equal(code === 0, outcome === "succeeds", text);
            assert.ok(message === "" ? output === "" : output.includes(message!), text);
          }
        });
      }
    },
  });
}

Deno.test({
  name: "the checker finds 13 planted bugs of 13, at their lines, and nothing in the right kernel",
  ignore: !isBuildable,
  fn: async () => {
    const source = join(folder, "planted_bugs.cu");
    const lines = (await Deno.readTextFile(source)).split("\n");
    const program = await buildProgram(source, "checked");
    const bugs = [...new Set(lines.flatMap((line) => /\/\/ fault: (\w+)/.exec(line)?.[1] ?? []))];
    assert.equal(bugs.length, 13);
    for (const seed of SEEDS) {
      const found = [];
      for (const bug of bugs) {
        const { code, output } = await run(program, [bug], seed);
        const line = lines[Number(/planted_bugs\.cu:(\d+)/.exec(output)?.[1] ?? 0) - 1] ?? "";
        if (code !== 0 && line.endsWith(`// fault: ${bug}`)) found.push(bug);
        else console.log(output);
      }
      assert.deepEqual(found, bugs, `seed ${seed}`);
      assert.deepEqual(await run(program, ["right"], seed), { code: 0, output: "" });
    }
  },
});

Deno.test({
  name: "the library of the kernels is built, and not built again while nothing changed",
  ignore: !isBuildable,
  fn: async () => {
    const library = await buildLibrary("emulated");
    const made = (await Deno.stat(library)).mtime;
    assert.equal(await buildLibrary("emulated"), library);
    assert.deepEqual((await Deno.stat(library)).mtime, made);
    const opened = Deno.dlopen(library, { emulator_check_errors: { parameters: [], result: "usize" } });
    assert.equal(opened.symbols.emulator_check_errors(), 0n);
    opened.close();
  },
});
