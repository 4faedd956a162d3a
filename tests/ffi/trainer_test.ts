/** The trainer as a library. */
import assert from "node:assert/strict";
import { type BowlineError, coreInfo, type ErrorCode, plan, Trainer } from "@bowline/bowline";
import { B, S, tiny, tinyInput, tokens, V } from "./tiny.ts";

coreInfo(); // opened here and not in a test, which would seem to leak it

/** Checks the code of a failure. */
function hasCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => (error as BowlineError).code === code;
}

Deno.test("Trainer.stepTokens() learns what it is shown", async () => {
  using trainer = new Trainer(tiny());
  const first = await trainer.stepTokens(tokens());
  assert.equal(first.step, 1);
  assert.ok(Math.abs(first.lmLoss - Math.log(V)) < 0.5);
  for (let step = 1; step < 10; step++) await trainer.stepTokens(tokens());
  const last = trainer.stats.snapshot();
  assert.equal(last.step, 10);
  assert.equal(last.tokens, 10 * B * S);
  assert.ok(last.lmLoss < first.lmLoss);
});

Deno.test("Trainer.evaluateTokens() changes nothing", async () => {
  using trainer = new Trainer(tiny());
  const before = trainer.read("embedding.weight");
  const once = await trainer.evaluateTokens(tokens(3));
  const twice = await trainer.evaluateTokens(tokens(3));
  assert.equal(once.evalLoss, twice.evalLoss);
  assert.equal(once.evalTokens, 3 * B * S);
  assert.deepEqual(trainer.read("embedding.weight"), before);
});

Deno.test("Trainer.parameters() lists each bank once, with the shapes that read() returns", () => {
  using trainer = new Trainer(tiny());
  const parameters = trainer.parameters();
  const names = parameters.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.equal(names.filter((name) => name.endsWith(".gate_up")).length, 3, "2 untied banks and a tied one");
  for (const { name, shape } of parameters) {
    assert.equal(trainer.read(name).length, shape.reduce((product, axis) => product * axis, 1), name);
  }
});

Deno.test("Trainer.write() replaces what read() returns", () => {
  using trainer = new Trainer(tiny());
  const values = trainer.read("final_norm.weight").map((_, i) => i);
  trainer.write("final_norm.weight", values);
  assert.deepEqual(trainer.read("final_norm.weight"), values);
  assert.throws(() => trainer.write("final_norm.weight", values.subarray(1)), hasCode("invalid-argument"));
  assert.throws(() => trainer.read("no_such.weight"), hasCode("invalid-argument"));
});

Deno.test("Trainer.gradient() is what the step used", async () => {
  using trainer = new Trainer(tiny());
  await trainer.stepTokens(tokens());
  assert.ok(trainer.gradient("head.weight").some((value) => value !== 0));
});

Deno.test("Trainer.save() and load() continue bit for bit", async () => {
  const folder = await Deno.makeTempDir();
  try {
    using first = new Trainer(tiny());
    await first.stepTokens(tokens());
    await first.save(`${folder}/checkpoint`);
    await first.stepTokens(tokens());
    using second = new Trainer(tiny(), { threads: 1 });
    await second.load(`${folder}/checkpoint`);
    await second.stepTokens(tokens());
    for (const { name } of first.parameters()) assert.deepEqual(second.read(name), first.read(name), name);
    await assert.rejects(second.load(`${folder}/none`), hasCode("checkpoint"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Trainer.loadWeights() takes the weights of a checkpoint and nothing else", async () => {
  const folder = await Deno.makeTempDir();
  using trained = new Trainer(tiny());
  await trained.stepTokens(tokens());
  await trained.save(`${folder}/checkpoint`);
  using fresh = new Trainer({ ...tiny(), seed: 7 });
  await fresh.loadWeights(`${folder}/checkpoint`);
  for (const { name } of trained.parameters()) assert.deepEqual(fresh.read(name), trained.read(name), name);
  assert.equal((await fresh.stepTokens(tokens())).step, 1);
  const other = plan({ ...tinyInput, model: { ...tinyInput.model, topK: 1 } });
  using another = new Trainer(other);
  await assert.rejects(
    another.loadWeights(`${folder}/checkpoint`),
    /banks\.router\.0\.options\.topK is 2 there and 1 here/,
  );
  await Deno.remove(folder, { recursive: true });
});

Deno.test("Trainer.logits() are those that the loss is made of", async () => {
  using trainer = new Trainer(tiny());
  const window = tokens().slice(0, S + 1);
  const logits = await trainer.logits(window);
  assert.equal(logits.length, (S + 1) * V);
  let sum = 0;
  for (let at = 0; at < S; at++) {
    const row = logits.subarray(at * V, (at + 1) * V);
    sum += Math.log(row.reduce((total, x) => total + Math.exp(x), 0)) - row[window[at + 1]!]!;
  }
  const { evalLoss } = await trainer.evaluateTokens(window);
  assert.ok(Math.abs(sum / S - evalLoss) <= 1e-5, `${sum / S} and ${evalLoss}`); // rounding of f32
  await assert.rejects(trainer.logits(Int32Array.of(V)), /token 300 at position 0/);
});

Deno.test("Trainer allows one call at a time", async () => {
  using trainer = new Trainer(tiny());
  const running = trainer.stepTokens(tokens());
  // All before the first await: the step may end while this waits.
  const overlapping = trainer.stepTokens(tokens());
  assert.throws(() => trainer.read("head.weight"), hasCode("busy"));
  await assert.rejects(overlapping, hasCode("busy"));
  await running;
  await trainer.stepTokens(tokens());
});

Deno.test("Trainer.cancel() stops the running call, and the next one works", async () => {
  using trainer = new Trainer(tiny());
  const running = trainer.evaluateTokens(tokens(20_000));
  trainer.cancel();
  await assert.rejects(running, hasCode("cancelled"));
  assert.equal((await trainer.stepTokens(tokens())).step, 1);
});

Deno.test("Trainer may be disposed of twice, and then refuses calls", async () => {
  const trainer = new Trainer(tiny());
  trainer[Symbol.dispose]();
  trainer[Symbol.dispose]();
  await assert.rejects(trainer.stepTokens(tokens()), hasCode("bad-handle"));
});

Deno.test("Trainer may be disposed of during a call, which ends as usual", async () => {
  const trainer = new Trainer(tiny());
  const running = trainer.evaluateTokens(tokens(2000));
  while (trainer.stats.read("progress") === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  trainer[Symbol.dispose]();
  assert.equal((await running).evalTokens, 2000 * B * S);
});

Deno.test("Trainer refuses tokens that do not fit and plans that are wrong", async () => {
  using trainer = new Trainer(tiny());
  await assert.rejects(trainer.stepTokens(tokens().subarray(1)), hasCode("invalid-argument"));
  await assert.rejects(trainer.stepTokens(tokens().fill(V)), hasCode("invalid-argument"));
  await assert.rejects(trainer.step(), hasCode("invalid-argument"));
  const sites = [{ ...tiny().sites[0]!, router: "router.99" }];
  assert.throws(() => new Trainer({ ...tiny(), sites }), /router\.99.*sites\[0\]\.router/);
});
