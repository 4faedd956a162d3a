/** A run from start to end, and in pieces. */
import assert from "node:assert/strict";
import { parseEvents, stepFolder, Workspace } from "./program.ts";

Deno.test("bowline train leaves a complete run folder", async () => {
  await using workspace = await Workspace.make();
  const { stdout, stderr } = await workspace.train("run");
  assert.deepEqual(
    [...Deno.readDirSync(workspace.at("run"))].map((entry) => entry.name).sort(),
    ["checkpoints", "environment.json", "events.jsonl", "lock", "manifest.json", "plan.json", "tokenizer.json"],
  );
  assert.deepEqual(workspace.checkpoints("run"), [10, 15, 20].map(stepFolder), "the newest 3, every 5 steps");
  assert.match(stdout, /held-out loss .*perplexity .*bits per byte/);
  assert.match(stdout, /add-one bigram/);
  assert.match(stdout, /sample +The/);
  assert.match(stderr, /step +\d+\/20 +loss \d\.\d+ +[\d,]+ tokens\/s +\d+s left/);
});

Deno.test("bowline train records each event once, in order", async () => {
  await using workspace = await Workspace.make();
  await workspace.train("run", "--steps", "7");
  await workspace.train("run", "--resume");
  const events = await workspace.events("run");
  const steps = (type: string) => events.filter((event) => event.type === type).map((event) => event.step);
  assert.deepEqual(steps("step"), Array.from({ length: 20 }, (_, i) => i + 1));
  assert.deepEqual(steps("start"), [0, 7]);
  assert.deepEqual(steps("eval"), [7, 10, 20]);
  assert.deepEqual(steps("checkpoint"), [5, 7, 10, 15, 20]);
  assert.deepEqual(events.filter((event) => event.type === "end").map(({ reason }) => reason), ["steps", "complete"]);
  const [first] = events.filter((event) => event.type === "step");
  for (
    const field of ["loss", "lm_loss", "balance", "z", "grad_norm", "lr_muon", "lr_adamw", "tokens", "tokens_per_s"]
  ) {
    assert.equal(typeof first![field], "number", field);
  }
  const [evaluation] = events.filter((event) => event.type === "eval");
  assert.ok(Math.abs(Math.log(Number(evaluation!["perplexity"])) - Number(evaluation!["loss"])) < 1e-9);
});

Deno.test("bowline train --json prints the recorded events and nothing else", async () => {
  await using workspace = await Workspace.make();
  const { stdout, stderr } = await workspace.train("run", "--steps", "5", "--json", "--quiet");
  assert.deepEqual(parseEvents(stdout), await workspace.events("run"));
  assert.equal(stderr, "");
});

Deno.test("bowline train in two parts gives the same bytes as in one", async () => {
  await using workspace = await Workspace.make();
  await workspace.train("whole");
  await workspace.train("parts", "--steps", "10");
  await workspace.train("parts", "--resume", "--steps", "20");
  assert.deepEqual(await workspace.tensors("parts", 20), await workspace.tensors("whole", 20));
});

Deno.test("bowline train gives the same bytes with 1 and 2 threads", async () => {
  await using workspace = await Workspace.make();
  await workspace.train("one", "--threads", "1");
  await workspace.train("two", "--threads", "2");
  assert.deepEqual(await workspace.tensors("one", 20), await workspace.tensors("two", 20));
});

Deno.test("bowline train --resume starts at step 0 where nothing is saved, and says so", async () => {
  await using workspace = await Workspace.make();
  const { stderr } = await workspace.train("run", "--steps", "3", "--resume");
  assert.match(stderr, /no checkpoint: starting at step 0/);
  assert.deepEqual(workspace.checkpoints("run"), [stepFolder(3)]);
});

Deno.test("bowline train --resume does nothing where everything is done, and says so", async () => {
  await using workspace = await Workspace.make();
  await workspace.train("run", "--steps", "5");
  const before = await workspace.events("run");
  const { stderr } = await workspace.train("run", "--steps", "5", "--resume");
  assert.match(stderr, /nothing to do/);
  assert.deepEqual(await workspace.events("run"), before);
});

Deno.test("bowline train stops at the step whose loss is not finite and keeps the last checkpoint", async () => {
  await using workspace = await Workspace.make();
  const settings = ["--set", "train.lr=1e30", "--set", "checkpoint.every=1"];
  const { code, stderr } = await workspace.run("train", workspace.manifest, "--out", "run", ...settings);
  assert.equal(code, 1);
  assert.match(stderr, /^error: .*not finite[^\n]*\n$/m);
  assert.match(stderr, /newest checkpoint is .*step-0000000/);
  const events = await workspace.events("run");
  assert.equal(events.at(-1)!["reason"], "failed");
  assert.equal(workspace.checkpoints("run").at(-1), stepFolder(events.at(-1)!.step));
});
