import assert from "node:assert/strict";
import { nano, type Plan, plan, planSchema, presets } from "../../experiments/mod.ts";
import { type Group, layOut, tieGroups, untied } from "../../experiments/topology.ts";
import { changed, small } from "./support.ts";

const expertBanks = (p: Plan) => p.banks.filter((bank) => bank.kind === "experts");
const divisors = (p: Plan) => expertBanks(p).map((bank) => bank.lrDivisor);

Deno.test("the last tie group may be shorter: 16 sites, g = 5 are 2-6, 7-11, 12-13", () => {
  assert.deepEqual(tieGroups(16, { groupSize: 5, skipFirst: 2, skipLast: 2 }), [
    [0],
    [1],
    [2, 3, 4, 5, 6],
    [7, 8, 9, 10, 11],
    [12, 13],
    [14],
    [15],
  ]);
});

Deno.test("tie groups hold every site once, in order, ends apart and no middle group over g", () => {
  for (let sites = 1; sites <= 9; sites++) {
    for (let groupSize = 1; groupSize <= 5; groupSize++) {
      for (let skipFirst = 0; skipFirst <= sites; skipFirst++) {
        for (let skipLast = 0; skipFirst + skipLast <= sites; skipLast++) {
          const groups = tieGroups(sites, { groupSize, skipFirst, skipLast });
          const what = `${sites} sites, g ${groupSize}, ends ${skipFirst} and ${skipLast}`;
          assert.deepEqual(groups.flat(), [...Array(sites).keys()], what);
          const isEnd = (site: number) => site < skipFirst || site >= sites - skipLast;
          for (const group of groups) assert.ok(group.length === 1 || !group.some(isEnd), what);
          const middle = groups.filter((group) => !isEnd(group[0]!)).map((group) => group.length);
          assert.ok(middle.slice(0, -1).every((length) => length === groupSize), what);
          assert.ok((middle.at(-1) ?? 1) <= groupSize, what);
        }
      }
    }
  }
});

Deno.test("layOut() ties any part of a site over any partition, not only experts over runs", () => {
  const strided = [[0, 2], [1, 3]];
  const norm = (_: Group) => ({
    kind: "norm" as const,
    shape: { D: 4 },
    options: { eps: 1e-5 },
    optimizer: "adamw" as const,
    lrDivisor: 1,
    initGain: 1,
  });
  const { banks, sites } = layOut(
    {
      attentionNorm: untied(4),
      attention: strided,
      ffnNorm: untied(4),
      router: [[0, 1, 2, 3]],
      experts: strided,
      feedForward: [],
    },
    { attentionNorm: norm, attention: norm, ffnNorm: norm, router: norm, experts: norm, feedForward: norm },
  );
  assert.deepEqual(sites.map((site) => site.attention), ["attention.0", "attention.1", "attention.0", "attention.1"]);
  assert.deepEqual(new Set(sites.map((site) => site.router)), new Set(["router.0"]));
  assert.equal(banks.find((bank) => bank.id === "router.0")?.uses, 4);
  assert.equal(banks.find((bank) => bank.id === "experts.1")?.uses, 2);
});

Deno.test("every bank is used as often as it says, and every name of a site is a bank of its kind", () => {
  for (const input of [small, ...presets]) {
    const p = plan(input);
    const named = [
      p.model.embedding,
      p.model.head,
      p.model.finalNorm,
      ...p.sites.flatMap((site) => Object.values(site)),
    ];
    for (const bank of p.banks) {
      assert.equal(bank.uses, named.filter((id) => id === bank.id).length, `${p.name} ${bank.id}`);
    }
    assert.equal(new Set(p.banks.map((bank) => bank.id)).size, p.banks.length, "ids are unique");
    const kinds = new Map<string | null, string>(p.banks.map((bank) => [bank.id, bank.kind]));
    for (const site of p.sites) {
      assert.deepEqual(
        [site.attentionNorm, site.attention, site.ffnNorm, site.router, site.experts].map((id) => kinds.get(id)),
        ["norm", "attention", "norm", "router", "experts"],
      );
    }
    assert.equal(expertBanks(p).reduce((sum, bank) => sum + bank.uses, 0), p.sites.length);
  }
});

Deno.test("a plan passes through its schema and through JSON unchanged", () => {
  for (const input of [small, ...presets]) {
    const p = plan(input);
    assert.deepEqual(planSchema.parse(JSON.parse(JSON.stringify(p))), p);
  }
});

Deno.test("the schema of a plan refuses unknown and missing fields", () => {
  const p = plan(small);
  assert.throws(() => planSchema.parse({ ...p, extra: 1 }), /extra/);
  const { seed: _, ...without } = p;
  assert.throws(() => planSchema.parse(without), /seed/);
});

Deno.test("the divisor follows a bank's uses, so a shorter last group has its own", () => {
  const divided = (tiedLrDivisor: "none" | "sqrt" | "linear" | number) =>
    divisors(plan(changed({ tie: { groupSize: 3 }, train: { tiedLrDivisor } })));
  assert.deepEqual(divided("none"), [1, 1, 1, 1]);
  assert.deepEqual(divided("sqrt"), [1, Math.sqrt(3), 1, 1]);
  assert.deepEqual(divided("linear"), [1, 3, 1, 1]);
});

Deno.test("a divisor given as a number holds for the whole middle of a tied model, as published", () => {
  const divided = (groupSize: number) => divisors(plan(changed({ tie: { groupSize }, train: { tiedLrDivisor: 1.5 } })));
  assert.deepEqual(divided(3), [1, 1.5, 1.5, 1]);
  assert.deepEqual(divided(1), [1, 1, 1, 1, 1, 1]);
});

Deno.test("only expert banks are divided", () => {
  const others = plan(small).banks.filter((bank) => bank.kind !== "experts");
  assert.ok(others.every((bank) => bank.lrDivisor === 1));
});

Deno.test("expansion widens middle banks and their routers, tied or not, and leaves the ends", () => {
  for (const groupSize of [1, 2]) {
    const p = plan(changed({ tie: { groupSize, expand: 20 } }));
    const routers = p.banks.filter((bank) => bank.kind === "router");
    assert.deepEqual(routers.map((bank) => bank.shape.E), [5, 20, 20, 20, 20, 5]);
    const middle = Array(4 / groupSize).fill(20);
    assert.deepEqual(expertBanks(p).map((bank) => bank.shape.E), [5, ...middle, 5]);
  }
});

Deno.test("with AdamW alone no bank is Muon's", () => {
  assert.ok(plan(changed({ optimizer: { kind: "adamw" } })).banks.every((bank) => bank.optimizer === "adamw"));
});

Deno.test("nano resolves to the published numbers", () => {
  const p = plan(nano);
  assert.equal(p.format, 3);
  assert.deepEqual(p.model, {
    family: "olmoe",
    vocab: 2048,
    width: 128,
    embedding: "embedding",
    head: "head",
    finalNorm: "final_norm",
    maxSeqLen: 4096,
    paddingToken: null,
  });
  assert.deepEqual(p.sites.map((site) => site.experts), [0, 1, 2, 2, 2, 2, 3, 4].map((n) => `experts.${n}`));
  assert.deepEqual(expertBanks(p)[2], {
    id: "experts.2",
    kind: "experts",
    shape: { E: 16, D: 128, F: 96 },
    options: { muonSlices: "fused" },
    optimizer: "muon",
    lrDivisor: 2,
    uses: 4,
    initGain: 1 / Math.sqrt(24),
  });
  assert.deepEqual(p.banks.find((bank) => bank.id === "attention.5"), {
    id: "attention.5",
    kind: "attention",
    shape: { D: 128, H: 4, Hkv: 4, P: 32 },
    options: { qkNorm: "whole", clamp: 8, ropeTheta: 10_000, eps: 1e-5 },
    optimizer: "muon",
    lrDivisor: 1,
    uses: 1,
    initGain: 1 / Math.sqrt(24),
  });
  assert.deepEqual(p.optimizer, {
    kind: "muon",
    muon: { lr: 0.02, momentum: 0.95, weightDecay: 0.1, newtonSchulzSteps: 5 },
    adamw: { lr: 0.002, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01 },
    clipNorm: 1,
  });
  assert.deepEqual(p.schedule, { warmupSteps: 50, steps: 500, finalFraction: 0.1 });
  assert.deepEqual(p.train, { steps: 500, batch: 16, accumulation: 1, seqLen: 128, recompute: false });
  assert.deepEqual(p.data, {
    corpus: "sotu",
    files: [],
    sources: [],
    tokenizer: { kind: "train-bpe", vocab: 2048 },
    separator: "<|endoftext|>",
    separatorPlacement: "before",
    minCharacters: 50,
    heldOut: { kind: "documents", every: 20, index: 7 },
    order: "shuffled-windows",
    shuffleBuffer: 10_000,
    atEnd: "repeat",
    onBadRecord: "stop",
  });
  assert.deepEqual([p.seed, p.checkpoint, p.eval], [42, { every: 100, keep: 3 }, { every: 100, batches: null }]);
});

Deno.test("each architecture trains on 524,288 tokens a step, as long as published", () => {
  const architectures = presets.filter((input) => /-(regular|small|tiny)$/.test(input.name));
  assert.equal(architectures.length, 9);
  for (const input of architectures) {
    const { train, schedule, data, optimizer } = plan(input);
    assert.equal(train.batch * train.accumulation, 256);
    assert.equal(train.seqLen, 2048);
    assert.equal(train.steps, input.name.endsWith("-regular") ? 30_000 : 20_000);
    assert.deepEqual([schedule.warmupSteps, optimizer.muon.lr, data.corpus, data.files], [100, 0.02, null, []]);
  }
});
