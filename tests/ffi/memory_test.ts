/** The memory that a plan takes, by the core: against counts by hand, and against what a trainer says that it took. */
import assert from "node:assert/strict";
import { coreInfo, nano, type Plan, plan, planMemory, Trainer } from "@bowline/bowline";
import { countParameters } from "../../experiments/mod.ts";
import { changed, small } from "../experiments/support.ts";

coreInfo(); // opened here and not in a test, which would seem to leak it

const memory = (p: Plan) => planMemory(p).needed;

Deno.test("a dense site keeps gate and up of every token, in place of what its router and experts keep", () => {
  const [D, F, E, K, T] = [24, 40, 5, 2, 3 * 16];
  const at = (denseLayers: number[]) => {
    const model = { denseLayers, denseWidth: denseLayers.length > 0 ? F : null };
    return memory(plan(changed({ model, tie: { groupSize: 1 } })));
  };
  const [none, one] = [at([]), at([2])];
  const bySite = T * E + T + 4 * T * K + E + 1 + T * K * 2 * 12;
  assert.equal((one.activations - none.activations) / 4, 2 * T * F - bySite);
  assert.equal((one.scratch - none.scratch) / 4, 2 * T * D + 4 * T * F + 4 * T);
});

Deno.test("recomputation keeps the input of each site, and all of one", () => {
  const at = (recompute: boolean, layers: number) =>
    memory(plan(changed({ model: { layers }, train: { recompute } }))).activations;
  const input = 4 * 3 * 16 * 24; // T D
  assert.equal(at(true, 6) - at(true, 5), input);
  const site = at(false, 6) - at(false, 5);
  assert.equal(at(false, 6), 6 * site);
  assert.equal(at(true, 6), 6 * input + site);
});

Deno.test("each parameter has a weight, a gradient and its optimizer's state", () => {
  for (const input of [small, nano]) {
    const p = plan(input);
    const { weights, gradients, optimizer } = memory(p);
    assert.equal(weights, 4 * countParameters(p).total);
    assert.equal(gradients, weights);
    assert.ok(weights < optimizer && optimizer < 2 * weights, "one moment for Muon, two for AdamW");
  }
  const { weights, optimizer } = memory(plan(changed({ optimizer: { kind: "adamw" } })));
  assert.equal(optimizer, 2 * weights);
});

Deno.test("memory is the sum of its parts, activations grow with the batch and the weights do not", () => {
  const at = (batch: number) => memory(plan(changed({ train: { batch } })));
  const [one, two, three] = [at(1), at(2), at(3)];
  const offsets = 4 * 6 * (5 + 1); // (E + 1) at each site, whatever the batch
  assert.equal(two.activations - one.activations, three.activations - two.activations);
  assert.equal(2 * (one.activations - offsets), two.activations - offsets);
  const ends = 4 * 2; // of the rows in order, which dense sites would have
  assert.equal(2 * (one.scratch - ends), two.scratch - ends);
  for (const part of ["weights", "gradients", "optimizer", "cache"] as const) assert.equal(one[part], three[part]);
  for (const { total, ...held } of [one, two, three]) {
    assert.equal(total, Object.values(held).reduce((a, b) => a + b));
  }
});

Deno.test("the working memory of the CPU grows with the tokens by the partial gradients of attention only, and with threads", () => {
  const at = (batch: number, threads: number) => {
    const { working } = planMemory(plan({ ...nano, train: { ...nano.train, batch } }), { threads }).needed;
    return working;
  };
  assert.equal(at(16, 1), at(8, 1), "a chunk of the head is larger");
  const partial = 4 * 2 * 128 * 128; // of a sequence: f32, d_k and d_v, S, H P
  assert.equal(at(1024, 1) - at(512, 1), 512 * partial);
  assert.equal(at(16, 3) - at(16, 2), at(16, 2) - at(16, 1));
  assert.ok(at(16, 2) > at(16, 1));
});

Deno.test("a trainer took what its plan said", () => {
  const p = plan(small);
  using trainer = new Trainer(p, { threads: 1 });
  assert.deepEqual(trainer.memory(), { needed: planMemory(p, { threads: 1 }).needed, room: null });
});
