import assert from "node:assert/strict";
import {
  countFlops,
  countParameters,
  countTraffic,
  estimateTime,
  nano,
  type Plan,
  plan,
  preset,
  presets,
} from "../../experiments/mod.ts";
import { bankElements, elements, parts } from "../../experiments/parts.ts";
import { sharedFolder } from "../shared.ts";
import { changed, small } from "./support.ts";

/** A row of the golden file, under the file's names. */
type GoldenRow =
  & Record<"arch" | "scale", string>
  & Record<"tie_group_size" | "tied_layer_experts" | "total" | "expert_params" | "active", number>;

const golden = sharedFolder("golden/param-counts.json");

Deno.test("parameters equal all 54 published counts", { ignore: golden === null }, async () => {
  const rows: GoldenRow[] = JSON.parse(await Deno.readTextFile(golden!)).arch;
  assert.equal(rows.length, 54);
  const families: Record<string, string> = { olmoe: "olmoe", qwen3moe: "qwen3", deepseek: "deepseek-style" };
  for (const row of rows) {
    const base = preset(`${families[row.arch]}-${row.scale}`);
    const tie = { ...base.tie, groupSize: row.tie_group_size, expand: row.tied_layer_experts };
    const { total, expert_params: experts, active } = row;
    assert.deepEqual(countParameters(plan({ ...base, tie })), { total, experts, active }, JSON.stringify(row));
  }
});

Deno.test("banks add up to the total, and tying takes whole banks away", () => {
  for (const input of [small, ...presets]) {
    const p = plan(input);
    assert.equal(p.banks.reduce((sum, bank) => sum + bankElements(bank), 0), countParameters(p).total);
  }
  const untied = countParameters(plan(changed({ tie: { groupSize: 1 } })));
  const tied = countParameters(plan(changed({ tie: { groupSize: 4 } })));
  assert.equal(untied.total - tied.total, 3 * 5 * 3 * 24 * 12);
  assert.equal(untied.active, tied.active);
});

Deno.test("a head that is the embedding counts once, and its arithmetic stays", () => {
  const p = plan(small);
  const embedding = p.banks.find((bank) => bank.id === "embedding")!;
  const tied: Plan = {
    ...p,
    model: { ...p.model, head: "embedding" },
    banks: p.banks.filter((bank) => bank.id !== "head").map((bank) => bank === embedding ? { ...bank, uses: 2 } : bank),
  };
  assert.equal(countParameters(p).total - countParameters(tied).total, 300 * 24);
  assert.deepEqual(countFlops(tied), countFlops(p));
  assert.ok(countTraffic(tied, 0).perToken.optimizer < countTraffic(p, 0).perToken.optimizer);
});

Deno.test("parts have the names and shapes of the checkpoint", () => {
  const shapes = Object.fromEntries(plan(small).banks.flatMap(parts).map((part) => [part.name, part.shape]));
  const at = (bank: string) => Object.entries(shapes).filter(([name]) => name.startsWith(`${bank}.`));
  assert.deepEqual(at("attention.1"), [
    ["attention.1.wq", [32, 24]],
    ["attention.1.wk", [16, 24]],
    ["attention.1.wv", [16, 24]],
    ["attention.1.wo", [24, 32]],
    ["attention.1.q_norm", [8]],
    ["attention.1.k_norm", [8]],
  ]);
  assert.deepEqual(at("experts.1"), [["experts.1.gate_up", [5, 24, 24]], ["experts.1.down", [5, 24, 12]]]);
  assert.deepEqual(at("router.0"), [["router.0.weight", [5, 24]]]);
  const whole = plan(changed({ model: { qkNorm: "whole" } })).banks.find((bank) => bank.id === "attention.0")!;
  assert.deepEqual(parts(whole).slice(4).map((part) => part.shape), [[32], [16]]);
  const none = plan(changed({ model: { qkNorm: "none" } })).banks.find((bank) => bank.id === "attention.0")!;
  assert.equal(parts(none).length, 4);
});

Deno.test("FLOPs equal those of the multiplications written out", () => {
  const { vocab: V, width: D, layers: L, heads: H, kvHeads: Hkv, headDim: P, experts: E, topK: K, expertWidth: F } =
    small.model;
  const { batch, accumulation, seqLen: S } = small.train;
  let flops = 0;
  const multiply = (rows: number, inner: number, columns: number) => flops += 2 * rows * inner * columns;
  for (let window = 0; window < batch * accumulation; window++) {
    for (let layer = 0; layer < L; layer++) {
      multiply(S, D, H * P); // q
      multiply(S, D, Hkv * P); // k
      multiply(S, D, Hkv * P); // v
      multiply(S, H * P, D); // output
      for (let head = 0; head < H; head++) {
        for (let position = 0; position < S; position++) {
          multiply(1, P, position + 1); // scores over the keys up to here
          multiply(1, position + 1, P); // weighted values
        }
      }
      multiply(S, D, E); // router
      multiply(S * K, D, 2 * F); // gate and up
      multiply(S * K, F, D); // down
    }
    multiply(S, D, V); // head
  }
  const tokens = batch * accumulation * S;
  const { perToken, perStep } = countFlops(plan(small));
  assert.equal(perToken.forward.total * tokens, flops);
  assert.equal(perStep.model, 3 * flops);
  assert.equal(perStep.total, perStep.model + perStep.newtonSchulz);
});

Deno.test("a dense site costs its own matrices in place of router and experts", () => {
  const [D, F, E, K] = [24, 40, 5, 2];
  const at = (denseLayers: number[]) => {
    const model = { denseLayers, denseWidth: denseLayers.length > 0 ? F : null };
    return plan(changed({ model, tie: { groupSize: 1 } }));
  };
  const [none, one] = [at([]), at([2])];
  const [before, after] = [countParameters(none), countParameters(one)];
  const expert = 3 * D * 12;
  assert.equal(after.total - before.total, 3 * D * F - E * expert - E * D);
  assert.equal(after.experts - before.experts, -E * expert);
  assert.equal(after.active - before.active, 3 * D * F - K * expert - E * D);
  const [cheap, dear] = [countFlops(none).perToken.forward, countFlops(one).perToken.forward];
  assert.equal(cheap.feedForward, 0);
  assert.equal(dear.feedForward, 6 * D * F);
  assert.equal(dear.experts, cheap.experts * 5 / 6);
  assert.equal(dear.total - cheap.total, 6 * D * F - 6 * K * D * 12 - 2 * D * E);
  assert.ok(countTraffic(one, 0).perToken.weights > 0);
});

Deno.test("Newton-Schulz is counted matrix by matrix, each expert on its own", () => {
  const perMatrix = (m: number, n: number) => 5 * 2 * (n * n * m + n * n * n + n * n * m);
  const attention = perMatrix(32, 24) * 2 + perMatrix(24, 16) * 2;
  const banks = 4 * 5; // two ends and two tied pairs of 5 experts
  const experts = (gateUp: number) => banks * (gateUp + perMatrix(24, 12));
  const count = (changes = {}) => countFlops(plan(changed(changes))).perStep.newtonSchulz;
  assert.equal(count(), 6 * attention + experts(perMatrix(24, 24)));
  const split = { optimizer: { muon: { slices: "split" } } };
  assert.equal(count(split), 6 * attention + experts(2 * perMatrix(24, 12)));
  assert.equal(count({ optimizer: { kind: "adamw" } }), 0);
});

Deno.test("FLOPs of a training step follow 6 T active parameters in matrices, with attention and Newton-Schulz", () => {
  const p = plan(nano);
  const { perToken, perStep } = countFlops(p);
  const gains = p.banks.flatMap(parts).filter((part) => part.matrices === null).reduce(
    (n, part) => n + elements(part),
    0,
  );
  const inMatrices = countParameters(p).active - gains - 2048 * 128; // a row of the embedding is looked up
  assert.equal(perStep.total, 2048 * (6 * inMatrices + perToken.training.attentionScores) + perStep.newtonSchulz);
});

Deno.test("recomputation costs one forward pass of the sites", () => {
  const keep = plan(nano);
  const again = plan({ ...nano, train: { ...nano.train, recompute: true } });
  const { forward } = countFlops(keep).perToken;
  assert.equal(countFlops(again).perStep.recompute, 2048 * (forward.total - forward.head));
  assert.equal(countFlops(keep).perStep.recompute, 0);
});

Deno.test("accumulation spreads the optimizer's traffic over more tokens and all-reduces no more", () => {
  const at = (accumulation: number) => countTraffic(plan(changed({ train: { accumulation } })), 0);
  assert.equal(at(1).perToken.optimizer, 4 * at(4).perToken.optimizer);
  assert.equal(at(1).perToken.weights, at(4).perToken.weights);
  assert.equal(at(4).allReducePerStep, 4 * countParameters(plan(small)).total);
});

Deno.test("time is arithmetic over speed", () => {
  const p = plan(nano);
  const time = estimateTime(p, 50);
  assert.equal(time.stepSeconds, countFlops(p).perStep.total / 50e9);
  assert.equal(time.runSeconds, 500 * time.stepSeconds);
  assert.equal(time.tokensPerSecond * time.stepSeconds, 2048);
});

Deno.test("nano costs what it is known to cost", () => {
  const p = plan(nano);
  assert.deepEqual(countParameters(p), { total: 4_018_304, experts: 2_949_120, active: 2_248_832 });
  assert.equal(countFlops(p).perToken.forward.total, 4_229_120);
  assert.equal(countFlops(p).perStep.newtonSchulz, 11_319_377_920);
});
