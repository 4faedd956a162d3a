/** `bowline experiments run`: interrupted, killed, failing and resumed. */
import assert from "node:assert/strict";
import { assertMistake } from "./mistakes.ts";
import { type Event, micro, type Outcome, parseEvents, Workspace } from "./program.ts";

/** Steps of the run in which tests interrupt: more than it can do while a signal is on its way. */
const LONG = 1500;

/** Writes manifests of micro runs that differ in their steps, in this order, and returns their files. */
async function manifests(workspace: Workspace, steps: Readonly<Record<string, number>>): Promise<string[]> {
  return await Promise.all(
    Object.entries(steps).map(([name, steps]) =>
      workspace.write(`${name}.json`, {
        ...micro,
        name,
        train: { ...micro.train, steps },
        data: { ...micro.data, files: [workspace.text] },
        checkpoint: { every: 500, keep: 1 },
      })
    ),
  );
}

/** Three runs, the second of which takes long. */
async function threeRuns(workspace: Workspace): Promise<string[]> {
  return ["experiments", "run", ...await manifests(workspace, { first: 20, second: LONG, third: 20 })];
}

/** Starts three runs and, when the second is at work, sends a signal; returns once all has come to rest. */
async function interrupted(workspace: Workspace, signal: Deno.Signal) {
  const args = await threeRuns(workspace);
  const child = workspace.start(...args);
  const output = child.output();
  await Promise.race([workspace.recorded("runs/second", 3), output]);
  child.kill(signal);
  return { args, ...await output };
}

/** Three finished runs, none of which did a step twice or again; the second went on from where it was. */
async function assertFinished(workspace: Workspace, first: string, outcome: Outcome): Promise<void> {
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(await Deno.readTextFile(workspace.at("runs/first/events.jsonl")), first, "not touched");
  for (const [name, count] of [["first", 20], ["second", LONG], ["third", 20]] as const) {
    const events = await workspace.events(`runs/${name}`);
    assert.deepEqual(stepsOf(events, "step"), Array.from({ length: count }, (_, i) => i + 1), name);
    assert.equal(events.at(-1)!["reason"], "complete");
  }
  const events = await workspace.events("runs/second");
  const [start, resumed, ...more] = stepsOf(events, "start");
  assert.equal(start, 0);
  assert.ok(resumed! >= 3 && resumed! < LONG, `resumed at ${resumed}`);
  assert.ok(stepsOf(events, "checkpoint").includes(resumed!), "from a checkpoint");
  assert.deepEqual(more, []);
  assert.deepEqual(stepsOf(await workspace.events("runs/third"), "start"), [0]);
}

function stepsOf(events: readonly Event[], type: string): number[] {
  return events.filter((event) => event.type === type).map((event) => event.step);
}

Deno.test("experiments run, interrupted and started again, ends with three runs and no repeated work", async () => {
  await using workspace = await Workspace.make();
  const { args, code, stderr } = await interrupted(workspace, "SIGINT");
  assert.equal(code, 130);
  assert.match(new TextDecoder().decode(stderr), new RegExp(`interrupted second: step \\d+/${LONG} is saved`));
  assert.equal((await workspace.events("runs/second")).at(-1)!["reason"], "interrupted");
  const first = await Deno.readTextFile(workspace.at("runs/first/events.jsonl"));
  const outcome = await workspace.run(...args, "--json");
  await assertFinished(workspace, first, outcome);
  const statuses = parseEvents(outcome.stdout).map(({ name, status }) => `${status} ${name}`);
  assert.deepEqual(statuses, ["skipped first", "finished second", "finished third"]);
});

Deno.test({
  name: "Ctrl-C in a terminal, which reaches every process of the group, saves the run at work",
  ignore: Deno.build.os === "windows", // no process groups
  async fn() {
    await using workspace = await Workspace.make();
    const args = await threeRuns(workspace);
    const child = workspace.startGroup(...args);
    const output = child.output();
    await Promise.race([workspace.recorded("runs/second", 3), output]);
    await new Deno.Command("kill", { args: ["-INT", "--", `-${child.pid}`] }).output();
    const { code, stderr } = await output;
    assert.equal(code, 130);
    const [, step] = /interrupted second: step (\d+)/.exec(new TextDecoder().decode(stderr)) ?? [];
    assert.ok(Number(step) >= 3, `step ${step} is saved`);
  },
});

Deno.test("experiments run, killed and started again at once, does not train in a folder twice at a time", async () => {
  await using workspace = await Workspace.make();
  const { args, code } = await interrupted(workspace, "SIGKILL");
  assert.equal(code, 137);
  const first = await Deno.readTextFile(workspace.at("runs/first/events.jsonl"));
  // The second run's process may still be saving its checkpoint: the new one waits for it.
  await assertFinished(workspace, first, await workspace.run(...args));
  assert.match(await Deno.readTextFile(workspace.at("runs/second/log.txt")), /going on in .* after step \d+/);
});

Deno.test("experiments run keeps going after a failure, names it at the end and exits with 1", async () => {
  await using workspace = await Workspace.make();
  const [good, bad, other] = await manifests(workspace, { good: 20, bad: 20, other: 20 });
  const manifest = JSON.parse(await Deno.readTextFile(bad!));
  await workspace.write("bad.json", { ...manifest, train: { ...manifest.train, lr: 1e30 } });
  const args = ["experiments", "run", good!, bad!, other!, "--jobs", "2", "--threads", "1"];
  const { code, stdout, stderr } = await workspace.run(...args);
  assert.equal(code, 1);
  assert.match(stdout, /^3 runs: 2 finished, 1 failed\n$/);
  assert.match(stderr, /^error: Cannot finish 1 of 3 runs: bad \(.*not finite.*\)\n$/m);
  assert.match(stderr, /failed bad: .*; see runs.bad.log\.txt/);
  for (const name of ["good", "other"]) assert.equal((await workspace.events(`runs/${name}`)).at(-1)!.step, 20);
});

Deno.test("experiments run counts a folder with another manifest as a failure and leaves it alone", async () => {
  await using workspace = await Workspace.make();
  const files = await manifests(workspace, { one: 20, two: 20 });
  await workspace.run("train", files[0]!, "--out", "runs/one", "--seed", "7");
  const before = await Deno.readTextFile(workspace.at("runs/one/events.jsonl"));
  const { code, stderr } = await workspace.run("experiments", "run", ...files);
  assert.equal(code, 1);
  assert.match(stderr, /^error: .*one \(.*train\.seed.*\)\n$/m);
  assert.equal(await Deno.readTextFile(workspace.at("runs/one/events.jsonl")), before);
  assert.equal((await workspace.events("runs/two")).at(-1)!["reason"], "complete");
});

Deno.test("experiments run skips what `bowline train` finished, and takes --set and --data to every run", async () => {
  await using workspace = await Workspace.make();
  const changes = ["--set", "train.steps=10", "--data", workspace.text];
  await workspace.train("runs/micro", ...changes);
  const { code, stdout } = await workspace.run("experiments", "run", workspace.manifest, ...changes);
  assert.equal(code, 0);
  assert.equal(stdout, "1 run: 1 skipped\n");
});

Deno.test("a run that lacks only its last evaluation is finished, not trained again", async () => {
  await using workspace = await Workspace.make();
  await workspace.train("runs/micro");
  const whole = await workspace.events("runs/micro");
  // As a kill between the last checkpoint and the end leaves it.
  const kept = whole.slice(0, whole.findLastIndex((event) => event.type === "checkpoint") + 1);
  const lines = kept.map((event) => `${JSON.stringify(event)}\n`).join("");
  await Deno.writeTextFile(workspace.at("runs/micro/events.jsonl"), lines);
  const { code, stdout } = await workspace.run("experiments", "run", workspace.manifest);
  assert.equal(code, 0);
  assert.equal(stdout, "1 run: 1 finished\n");
  const events = await workspace.events("runs/micro");
  assert.deepEqual(stepsOf(events, "start"), [0, 20]);
  assert.deepEqual(stepsOf(events, "eval"), [10, 20]);
  const last = (events: Event[]) => events.findLast((event) => event.type === "eval")!["loss"];
  assert.equal(last(events), last(whole));
});

Deno.test("bowline train refuses a folder in which another process trains", async () => {
  await using workspace = await Workspace.make();
  const [file] = await manifests(workspace, { busy: LONG });
  const child = workspace.start("train", file!, "--out", "busy");
  const output = child.output();
  await Promise.race([workspace.recorded("busy", 1), output]);
  const { code, stderr } = await workspace.run("train", file!, "--out", "busy", "--resume");
  child.kill("SIGKILL");
  await output;
  assert.equal(code, 2);
  assert.match(stderr, /^error: Cannot train in busy: another process is training there, [^\n]*\n$/);
});

Deno.test("bowline experiments run refuses", async (t) => {
  await using workspace = await Workspace.make();
  const refuses = (name: string, args: string[], says: RegExp) =>
    t.step(name, () => assertMistake(workspace, ["experiments", "run", ...args], says));
  const { manifest } = workspace;
  await refuses("no experiment", [], /no name and no filter.*--study/);
  await refuses("names beside a filter", [manifest, "--study", "nano"], /both names and a filter/);
  await refuses("an unknown study", ["--study", "nanoo"], /nanoo.*ablation, main, nano/);
  await refuses("an unknown section", ["--study", "nano", "--section", "fin"], /fin.*fine/);
  await refuses("an unknown variant", ["ablation/nano/fourgroups1_32_alltied"], /alltied.*alltie/);
  await refuses("one unknown name among others", [manifest, "nanoo"], /nanoo.*nano/);
  await refuses("no jobs", [manifest, "--jobs", "0"], /--jobs 0.*at least 1/);
  await refuses("no threads", [manifest, "--threads", "0"], /--threads 0.*at least 1/);
  await refuses("an unknown key", [manifest, "--set", "train.step=3"], /train\.step.*train\.steps/);
  await refuses("a run twice", [manifest, manifest], /folder .*micro.*different names/);
});
