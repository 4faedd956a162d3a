/** Several processes train as one does, end together, and go on from each other's checkpoints. */
import assert from "node:assert/strict";
import { type Event, finish, stepFolder, Workspace } from "./program.ts";
import { hasMpirun, largestDifference, numbers, shared, startRanks, trainRanks } from "./ranks.ts";

const ignore = !hasMpirun();

/** A workspace with the manifest that several processes can share. */
async function make(): Promise<{ workspace: Workspace; manifest: string } & AsyncDisposable> {
  const workspace = await Workspace.make();
  const data = { ...shared.data, files: [workspace.text] };
  const manifest = await workspace.write("shared.json", { ...shared, data });
  return { workspace, manifest, [Symbol.asyncDispose]: () => workspace[Symbol.asyncDispose]() };
}

/** Numbers of these events, by field; NaN for what is none. */
function fields(events: readonly Event[], type: string, names: readonly string[]): number[] {
  const number = (value: unknown) => typeof value === "number" ? value : NaN;
  return events.filter((event) => event.type === type).flatMap((event) => names.map((name) => number(event[name])));
}

Deno.test("a number that is none is no small difference, wherever it stands", () => {
  assert.equal(largestDifference([1, 2], [1, 4]), 2);
  for (const broken of [[NaN, 1, 2], [0, NaN, 2], [0, 1, NaN], [0, 1], []]) {
    assert.ok(Number.isNaN(largestDifference(broken, [0, 1, 2])), String(broken));
  }
});

const STEP = ["loss", "lm_loss", "balance", "z", "grad_norm", "routing_entropy", "agreement", "set_agreement"];
const EVAL = ["loss", "bits_per_byte", "tokens", "balance", "z", "agreement"];

Deno.test("2 and 4 processes train as one does", { ignore }, async () => {
  await using made = await make();
  const { workspace, manifest } = made;
  await trainRanks(workspace, 1, manifest, "one");
  const [weights, moments] = await numbers(workspace, "one", 20);
  for (const world of [2, 4]) {
    const out = `of-${world}`;
    const { stdout, stderr } = await trainRanks(workspace, world, manifest, out);
    for (let rank = 0; rank < world; rank++) assert.match(stderr, new RegExp(`rank ${rank} of ${world}, mpi, cpu`));
    assert.equal(stdout.match(/held-out loss/g)?.length, 1, "the first alone tells how it went");
    const [events, one] = [await workspace.events(out), await workspace.events("one")];
    assert.equal(fields(events, "step", STEP).length, 20 * STEP.length);
    // sums in another order, multiplied by twenty updates
    const isWithin = (what: string, difference: number) => assert.ok(difference <= 1e-5, `${what}: ${difference}`);
    isWithin("steps", largestDifference(fields(events, "step", STEP), fields(one, "step", STEP)));
    isWithin("evaluations", largestDifference(fields(events, "eval", EVAL), fields(one, "eval", EVAL)));
    const [itsWeights, itsMoments] = await numbers(workspace, out, 20);
    isWithin("weights", largestDifference(itsWeights, weights));
    isWithin("moments", largestDifference(itsMoments, moments));
  }
});

Deno.test("the same number of processes gives the same bytes, interrupted or not", { ignore }, async () => {
  await using made = await make();
  const { workspace, manifest } = made;
  await trainRanks(workspace, 2, manifest, "whole");
  await trainRanks(workspace, 2, manifest, "parts", "--steps", "10");
  await trainRanks(workspace, 2, manifest, "parts", "--resume");
  assert.deepEqual(await workspace.tensors("parts", 20), await workspace.tensors("whole", 20));
});

Deno.test("1 and 4 processes go on from the checkpoint of 2", { ignore }, async () => {
  await using made = await make();
  const { workspace, manifest } = made;
  await trainRanks(workspace, 2, manifest, "whole");
  const [whole] = await numbers(workspace, "whole", 20);
  for (const world of [1, 4]) {
    const out = `then-${world}`;
    await trainRanks(workspace, 2, manifest, out, "--steps", "10");
    await trainRanks(workspace, world, manifest, out, "--resume");
    const difference = largestDifference((await numbers(workspace, out, 20))[0], whole);
    assert.ok(difference <= 1e-5, `${world}: ${difference}`);
  }
});

Deno.test("a process that is killed is named, and all others end", { ignore }, async () => {
  await using made = await make();
  const { workspace, manifest } = made;
  const long = ["--set", "train.steps=100000", "--set", "checkpoint.every=100000"];
  const child = startRanks(workspace, 3, manifest, "run", "--set", "train.batch=3", ...long);
  await workspace.recorded("run", 3);
  const victim = await rankOf(child.pid, 2);
  const start = performance.now();
  Deno.kill(victim, "SIGKILL");
  const { code, stderr } = await finish(child);
  const seconds = (performance.now() - start) / 1000;
  assert.ok(seconds < 30, `it took ${seconds} s`);
  assert.notEqual(code, 0);
  assert.match(stderr, /error: Cannot go on: rank 2 of 3 died: its connection ended/);
});

Deno.test("Ctrl-C stops all processes at one step, and the first saves", { ignore }, async () => {
  await using made = await make();
  const { workspace, manifest } = made;
  const long = ["--set", "train.steps=100000", "--set", "checkpoint.every=100000"];
  const child = startRanks(workspace, 2, manifest, "run", ...long);
  await workspace.recorded("run", 3);
  child.kill("SIGINT"); // mpirun asks its processes to end
  const { stderr } = await finish(child);
  const events = await workspace.events("run");
  const last = events.at(-1)!;
  assert.deepEqual([last.type, last["reason"]], ["end", "interrupted"], stderr);
  assert.deepEqual(workspace.checkpoints("run").length, 1);
  const steps = events.filter((event) => event.type === "step").length;
  await trainRanks(workspace, 2, manifest, "run", "--resume", ...long, "--steps", String(steps + 2));
});

Deno.test(
  "a loss that is no number ends all processes with the reason, and keeps the steps before",
  { ignore },
  async () => {
    await using made = await make();
    const { workspace, manifest } = made;
    const { code, stderr } = await finish(startRanks(workspace, 2, manifest, "run", "--set", "train.lr=1e30"));
    assert.equal(code, 1);
    assert.match(stderr, /^error: .*Cannot go on at step \d+: .* is not finite/m);
    const last = (await workspace.events("run")).at(-1)!;
    assert.deepEqual([last.type, last["reason"]], ["end", "failed"]);
    assert.ok(last.step > 0);
    assert.deepEqual(workspace.checkpoints("run"), [stepFolder(last.step)]);
    assert.match(stderr, /newest checkpoint is .*step-0000000/);
    assert.doesNotMatch(stderr, /cannot save/);
  },
);

Deno.test("a number of processes that does not divide the batch is refused", { ignore }, async () => {
  await using made = await make();
  const { code, stderr } = await finish(startRanks(made.workspace, 3, made.manifest, "run"));
  assert.equal(code, 2);
  assert.match(
    stderr,
    /error: Cannot share train.batch 4 among 3 processes: wanted a divisor of it \(1, 2, 4\), or train.batch 3 or 6\n/,
  );
});

Deno.test("an environment that names half a place is refused, and so are ranks without a connection", async () => {
  await using workspace = await Workspace.make();
  const cases: [Record<string, string>, RegExp][] = [
    [{ RANK: "0" }, /WORLD_SIZE is not set/],
    [{ RANK: "2", WORLD_SIZE: "2", LOCAL_RANK: "0" }, /RANK is 2 and WORLD_SIZE is 2; wanted a rank below/],
    [{ RANK: "one", WORLD_SIZE: "2" }, /RANK is "one", wanted a whole number/],
    [{ RANK: "0", WORLD_SIZE: "2", LOCAL_RANK: "0", MASTER_ADDR: "127.0.0.1" }, /MASTER_PORT is not set/],
    [
      { RANK: "0", WORLD_SIZE: "2", LOCAL_RANK: "0", MASTER_ADDR: "127.0.0.1", MASTER_PORT: "29500" },
      /2 processes of torchrun on the CPU.* start them with mpirun or srun, or use --device cuda/,
    ],
  ];
  for (const [env, wanted] of cases) {
    const { code, stderr } = await workspace.runWith(env, "train", workspace.manifest, "--out", "run");
    assert.equal(code, 2, stderr);
    assert.match(stderr, wanted);
    assert.throws(() => Deno.statSync(workspace.at("run")), Deno.errors.NotFound);
  }
});

/** The process id of a rank, among the descendants of mpirun. */
async function rankOf(mpirun: number, rank: number): Promise<number> {
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    try {
      const stat = await Deno.readTextFile(`/proc/${entry.name}/stat`);
      const isChild = stat.slice(stat.lastIndexOf(")")).split(" ")[2] === String(mpirun);
      const environment = isChild ? await Deno.readTextFile(`/proc/${entry.name}/environ`) : "";
      if (environment.includes(`OMPI_COMM_WORLD_RANK=${rank}\0`)) return Number(entry.name);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // it ended meanwhile
    }
  }
  throw new Error(`rank ${rank} is not running`);
}
