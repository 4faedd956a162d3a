/** What survives when a run is interrupted, killed, or out of disk space. */
import assert from "node:assert/strict";
import { stepFolder, Workspace, type Workspace as Space } from "./program.ts";

const LONG = ["--set", "train.steps=100000", "--set", "eval.every=100000"];

/** Starts a long run, waits until `step` is recorded, and sends signals to it, the second as soon as it has answered. */
async function interrupt(workspace: Space, out: string, signals: 1 | 2) {
  const child = workspace.start("train", workspace.manifest, "--out", out, ...LONG);
  const output = child.output();
  await Promise.race([workspace.recorded(out, 3), output]);
  child.kill("SIGINT");
  if (signals === 2) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    child.kill("SIGINT");
  }
  return await output;
}

Deno.test("Ctrl-C saves a checkpoint of the last recorded step and exits with 130", async () => {
  await using workspace = await Workspace.make();
  const { code, stderr } = await interrupt(workspace, "run", 1);
  assert.equal(code, 130);
  assert.doesNotMatch(new TextDecoder().decode(stderr), /error/);
  const events = await workspace.events("run");
  assert.equal(events.at(-1)!["reason"], "interrupted");
  const last = events.findLast((event) => event.type === "step")!.step;
  assert.equal(workspace.checkpoints("run").at(-1), stepFolder(last));
  const resumed = await workspace.run(
    "train",
    workspace.manifest,
    "--out",
    "run",
    ...LONG,
    "--resume",
    "--steps",
    `${last + 2}`,
  );
  assert.equal(resumed.code, 0, resumed.stderr);
});

Deno.test("a second Ctrl-C exits at once with 130", async () => {
  await using workspace = await Workspace.make();
  const { code } = await interrupt(workspace, "run", 2);
  assert.equal(code, 130);
});

Deno.test("a run that is killed at ten random moments and resumed gives the same bytes as one that is not", async () => {
  await using workspace = await Workspace.make();
  const settings = ["--set", "train.steps=60", "--set", "checkpoint.every=2", "--set", "train.batch=8"];
  const started = performance.now();
  await workspace.train("whole", ...settings);
  const whole = performance.now() - started;
  const args = ["train", workspace.manifest, "--out", "killed", ...settings, "--resume"];
  for (let kill = 0; kill < 10; kill++) {
    const child = workspace.start(...args);
    const output = child.output();
    const timer = setTimeout(() => child.kill("SIGKILL"), Math.random() * whole);
    const { code, stderr } = await output;
    clearTimeout(timer);
    assert.ok([0, 137].includes(code), new TextDecoder().decode(stderr));
  }
  const last = await workspace.run(...args);
  assert.equal(last.code, 0, last.stderr);
  assert.deepEqual(await workspace.tensors("killed", 60), await workspace.tensors("whole", 60));
  const steps = (await workspace.events("killed")).filter((event) => event.type === "step").map((event) => event.step);
  assert.deepEqual(steps, Array.from({ length: 60 }, (_, i) => i + 1));
});

Deno.test({
  name: "a disk without space for a checkpoint ends the run with 1 and keeps the previous one",
  ignore: Deno.build.os === "windows", // no ulimit
  async fn() {
    await using workspace = await Workspace.make();
    await workspace.train("run", "--steps", "5");
    const [before] = await workspace.tensors("run", 5);
    // A limit on the size of a file stands for a full disk: events still fit, a model does not.
    const kilobytes = Math.floor(before!.length / 2048);
    const { code, stderr } = await workspace.runLimited(
      kilobytes,
      "train",
      workspace.manifest,
      "--out",
      "run",
      "--resume",
    );
    assert.equal(code, 1);
    assert.match(stderr, /^error: Cannot write .*step-00000010/m);
    assert.match(stderr, /newest checkpoint is run.checkpoints.step-00000005/);
    assert.deepEqual(workspace.checkpoints("run"), [stepFolder(5)]);
    await workspace.train("run", "--resume");
  },
});
