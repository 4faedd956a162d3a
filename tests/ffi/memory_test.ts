/** The memory that a plan takes, by the core: against counts by hand, and against what a trainer says that it took. */
import assert from "node:assert/strict";
import { coreInfo, nano, type Plan, plan, planMemory, Trainer } from "@bowline/bowline";
import { countParameters, tokensPerStep } from "../../experiments/mod.ts";
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
  assert.equal((one.scratch - none.scratch) / 4, 2 * T * D + T * F + 4 * T);
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

Deno.test("recomputation of experts keeps all but the input, gate and up of each site's, of which gate and up take the room of one", () => {
  const at = (recompute: boolean | "experts") => memory(plan(changed({ train: { recompute } })));
  const [kept, again] = [at(false), at("experts")];
  const gateUp = 4 * 3 * 16 * 2 * 2 * 12; // f32, T, K, 2F
  const input = 4 * 3 * 16 * 24; // f32, T, D
  assert.equal(kept.activations - again.activations, 6 * (gateUp + input));
  assert.equal(again.scratch - kept.scratch, gateUp);
});

Deno.test("the embedding's gradient has the rows that a step can touch, where these are fewer than all", () => {
  const at = (accumulation: number, model = {}) => {
    const { weights, gradients } = memory(plan(changed({ train: { accumulation }, model })));
    return (weights - gradients) / (4 * 24);
  };
  const [vocab, tokens] = [300, 3 * 16];
  assert.equal(at(1), vocab - tokens);
  assert.equal(at(6), vocab - 6 * tokens);
  assert.equal(at(7), 0);
  assert.equal(at(1, { tiedHead: true }), 0, "a head has a gradient in every row");
});

Deno.test("each parameter has a weight, a gradient and its optimizer's state", () => {
  for (const input of [small, nano]) {
    const p = plan(input);
    const { weights, gradients, optimizer } = memory(p);
    assert.equal(weights, 4 * countParameters(p).total);
    const rows = Math.min(p.model.vocab, tokensPerStep(p));
    assert.equal(gradients, weights - 4 * (p.model.vocab - rows) * p.model.width);
    assert.ok(weights < optimizer && optimizer < 2 * weights, "one moment for Muon, two for AdamW");
  }
  const { weights, optimizer } = memory(plan(changed({ optimizer: { kind: "adamw" } })));
  assert.equal(optimizer, 2 * weights);
});

Deno.test("memory is the sum of its parts, activations grow with the batch and the weights do not", () => {
  const planned = (batch: number) => plan(changed({ train: { batch } }));
  const at = (batch: number) => memory(planned(batch));
  const [one, two, three] = [at(1), at(2), at(3)];
  const offsets = 4 * 6 * (5 + 1); // (E + 1) at each site, whatever the batch
  assert.equal(two.activations - one.activations, three.activations - two.activations);
  assert.equal(2 * (one.activations - offsets), two.activations - offsets);
  const ends = 4 * 2; // of the rows in order, which dense sites would have
  assert.equal(2 * (one.scratch - ends), two.scratch - ends);
  for (const part of ["weights", "optimizer", "cache"] as const) assert.equal(one[part], three[part]);
  const rows = tokensPerStep(planned(3)) - tokensPerStep(planned(1)); // of the embedding
  assert.equal(three.gradients - one.gradients, 4 * 24 * rows);
  for (const { total, ...held } of [one, two, three]) {
    assert.equal(total, Object.values(held).reduce((a, b) => a + b));
  }
});

Deno.test("the working memory of the CPU grows with the tokens by the parts of attention's gradients only, and with threads", () => {
  const at = (batch: number, threads: number, model = {}) => {
    const input = { ...nano, model: { ...nano.model, ...model }, train: { ...nano.train, batch } };
    return planMemory(plan(input), { threads }).needed.working;
  };
  assert.equal(at(1024, 1), at(8, 1), "a chunk of the head is larger");
  const grouped = { kvHeads: 2 };
  const parts = 4 * (4 * 128 + 2 * 128 * 128); // of a sequence: f32, H S of delta, d_k and d_v, S, H P
  assert.equal(at(1024, 1, grouped) - at(512, 1, grouped), 512 * parts);
  assert.equal(at(16, 3) - at(16, 2), at(16, 2) - at(16, 1));
  assert.ok(at(16, 2) > at(16, 1));
});

Deno.test("a trainer took what its plan said", () => {
  const p = plan(small);
  using trainer = new Trainer(p, { threads: 1 });
  assert.deepEqual(trainer.memory(), { needed: planMemory(p, { threads: 1 }).needed, room: null });
});
