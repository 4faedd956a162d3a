/** How the core is found, and which permissions it needs. */
import assert from "node:assert/strict";
import { corePath, libraryCandidates } from "../../ffi/ts/library.ts";

const ROOT = new URL("../..", import.meta.url);
const CORE = corePath();

const PROGRAM = `
  import { plan, Trainer } from "@bowline/bowline";
  const model = { family: "olmoe", vocab: 300, width: 8, layers: 1, heads: 2, experts: 2, topK: 1, expertWidth: 4 };
  const tie = { skipFirst: 0, skipLast: 0 };
  using trainer = new Trainer(plan({ name: "one", model, tie, train: { steps: 1, batch: 1, seqLen: 2 } }));
  const { step } = await trainer.stepTokens(new Int32Array(3));
  console.log("step", step, trainer.read("head.weight").length);
`;

/** Runs the program above in a process with these permissions. */
async function run(core: string, ...permissions: string[]): Promise<{ stdout: string; stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-env=BOWLINE_CORE", ...permissions, "-"],
    cwd: ROOT,
    env: { BOWLINE_CORE: core, NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await new Blob([PROGRAM]).stream().pipeTo(child.stdin);
  const { stdout, stderr } = await child.output();
  return { stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test("the library trains with --allow-ffi for the one file of the core, and no other permission", async () => {
  const { stdout, stderr } = await run(CORE, `--allow-ffi=${CORE}`);
  assert.equal(stdout, "step 1 2400\n", stderr);
});

Deno.test("the library without --allow-ffi says what is missing", async () => {
  const { stderr } = await run(CORE);
  assert.match(stderr, /Cannot load the core.*--allow-ffi/);
});

Deno.test("the library without a core says how to build it", async () => {
  const { stderr } = await run("/no/such/libbowline.so", "--allow-ffi");
  assert.match(stderr, /Cannot load the core.*\/no\/such\/libbowline\.so.*"deno task build"/);
});

Deno.test("libraryCandidates() is where cargo builds, unless BOWLINE_CORE says otherwise", () => {
  const named = Deno.env.get("BOWLINE_CORE");
  if (named) return assert.deepEqual(libraryCandidates(), [named]);
  assert.match(libraryCandidates()[0]!, /ffi.target.release.(lib)?bowline\.(so|dylib|dll)$/);
});
