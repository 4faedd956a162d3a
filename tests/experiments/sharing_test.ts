/** Free combination: any part of a site shared over any partition of the sites, and loops. */
import assert from "node:assert/strict";
import { manifest, type Plan, plan, planSchema } from "../../experiments/mod.ts";
import { loopGroups } from "../../experiments/topology.ts";
import { changed, type Changes, refuses } from "./support.ts";

/** The number of the bank of a part at each site. */
const numbers = (p: Plan, part: "attention" | "router" | "experts" | "feedForward") =>
  p.sites.map((site) => site[part] === null ? null : Number(site[part].slice(site[part].lastIndexOf(".") + 1)));
const divisors = (p: Plan, kind: string) => p.banks.filter((bank) => bank.kind === kind).map((bank) => bank.lrDivisor);
/** The tie section, and no group by default. */
const tied = (tie: Changes, others: Changes = {}) =>
  changed({ tie: { groupSize: 1, skipFirst: undefined, skipLast: undefined, ...tie }, ...others });

Deno.test("the uses of a looped layer are a group, loops outside of layers", () => {
  assert.deepEqual(loopGroups([[1, 1], [2, 3], [1, 2]]), [[0], [1, 3, 5], [2, 4, 6], [7, 8]]);
  assert.deepEqual(loopGroups([[3, 1]]), [[0], [1], [2]]);
});

Deno.test("groups share the parts that share names, and no other", () => {
  const p = plan(tied({ loops: [[1, 1], [2, 2], [1, 1]], share: ["attention"] }));
  assert.deepEqual(numbers(p, "attention"), [0, 1, 2, 1, 2, 3]);
  assert.deepEqual(numbers(p, "experts"), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(numbers(p, "router"), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(divisors(p, "attention"), [1, Math.SQRT2, Math.SQRT2, 1]);
  assert.deepEqual(divisors(p, "experts"), Array(6).fill(1));
});

Deno.test("consecutive groups may share attention and routers as well", () => {
  const p = plan(changed({ tie: { groupSize: 2, share: ["attention", "router"] } }));
  assert.deepEqual(numbers(p, "attention"), [0, 1, 1, 2, 2, 3]);
  assert.deepEqual(numbers(p, "router"), [0, 1, 1, 2, 2, 3]);
  assert.deepEqual(numbers(p, "experts"), [0, 1, 2, 3, 4, 5]);
});

Deno.test("a partition ties experts in strides or groups of different sizes, in any order", () => {
  const strided = plan(tied({ partitions: { experts: [[4, 2, 0], [5, 1, 3]] } }));
  assert.deepEqual(numbers(strided, "experts"), [0, 1, 0, 1, 0, 1]);
  assert.deepEqual(divisors(strided, "experts"), [Math.sqrt(3), Math.sqrt(3)]);
  const uneven = plan(tied({ partitions: { experts: [[5], [0, 1, 2], [3, 4]], attention: [[0, 5], [1, 2, 3, 4]] } }));
  assert.deepEqual(numbers(uneven, "experts"), [0, 0, 0, 1, 1, 2]);
  assert.deepEqual(numbers(uneven, "attention"), [0, 1, 1, 1, 1, 0]);
  assert.deepEqual(divisors(uneven, "experts"), [Math.sqrt(3), Math.SQRT2, 1]);
});

Deno.test("a divisor given as a number holds for every bank that is shared", () => {
  const p = plan(tied({ partitions: { experts: [[0], [1, 2], [3, 4, 5]] } }, { train: { tiedLrDivisor: 1.5 } }));
  assert.deepEqual(divisors(p, "experts"), [1, 1.5, 1.5]);
});

Deno.test("the scope loop-group divides what a group does not share, too, but not with AdamW alone", () => {
  const tie = { loops: [[1, 1], [1, 4], [1, 1]], share: ["experts"] };
  const train = { divisorScope: "loop-group" };
  const muon = plan(tied(tie, { train }));
  assert.deepEqual(divisors(muon, "experts"), [1, 2, 1]);
  assert.deepEqual(divisors(muon, "attention"), [1, 2, 2, 2, 2, 1]);
  const adamw = plan(tied(tie, { train, optimizer: { kind: "adamw" } }));
  assert.deepEqual(divisors(adamw, "experts"), [1, 1, 1]);
  assert.deepEqual(divisors(plan(tied(tie)), "attention"), Array(6).fill(1), "shared banks only, by default");
});

Deno.test("each site whose attention is shared has an adapter of its own", () => {
  const p = plan(tied({ loops: [[1, 1], [1, 4], [1, 1]], share: ["attention", "experts"], adapterRank: 3 }));
  assert.deepEqual(p.sites.map((site) => site.adapter), [
    null,
    "adapter.0",
    "adapter.1",
    "adapter.2",
    "adapter.3",
    null,
  ]);
  assert.deepEqual(p.banks.find((bank) => bank.id === "adapter.2"), {
    id: "adapter.2",
    uses: 1,
    kind: "adapter",
    shape: { D: 24, H: 4, Hkv: 2, P: 8, R: 3 },
    options: {},
    optimizer: "adamw",
    lrDivisor: 1,
    initGain: 1 / Math.sqrt(18),
  });
  assert.deepEqual(planSchema.parse(JSON.parse(JSON.stringify(p))), p);
});

Deno.test("expansion widens the banks of looped layers", () => {
  const p = plan(tied({ loops: [[1, 1], [2, 2], [1, 1]], expand: 9 }));
  assert.deepEqual(p.banks.flatMap((bank) => bank.kind === "experts" ? [bank.shape.E] : []), [5, 9, 9, 5]);
});

Deno.test("a tied head names the embedding, which then has two uses", () => {
  const p = plan(changed({ model: { tiedHead: true } }));
  assert.deepEqual([p.model.head, p.banks.find((bank) => bank.id === "embedding")?.uses], ["embedding", 2]);
  assert.ok(p.banks.every((bank) => bank.kind !== "head"));
});

Deno.test("dense sites have no part in groups of experts, and may share a bank of their own", () => {
  const dense = (tie: Changes) => plan(tied(tie, { model: { denseLayers: [0, 2], denseWidth: 40 } }));
  const p = dense({ groupSize: 3, skipFirst: 0, skipLast: 0 });
  assert.deepEqual(numbers(p, "experts"), [null, 0, null, 1, 1, 1]);
  assert.deepEqual(numbers(p, "router"), [null, 0, null, 1, 2, 3]);
  assert.deepEqual(numbers(p, "feedForward"), [0, null, 1, null, null, null]);
  assert.deepEqual(divisors(p, "experts"), [1, Math.sqrt(3)]);
  assert.deepEqual(divisors(p, "feed_forward"), [1, 1]);
  for (
    const tie of [{ groupSize: 3, skipFirst: 0, skipLast: 0, share: ["feedForward"] }, {
      partitions: { feedForward: [[2, 0]] },
    }]
  ) {
    const shared = dense(tie);
    assert.deepEqual(numbers(shared, "feedForward"), [0, null, 0, null, null, null]);
    assert.deepEqual(divisors(shared, "feed_forward"), [Math.SQRT2]);
    assert.deepEqual(planSchema.parse(shared), shared);
  }
  const alone = plan(tied({}, { model: { denseLayers: [0, 1, 2, 3, 4, 5], denseWidth: 40 } }));
  assert.deepEqual(alone.banks.filter(({ kind }) => kind === "router" || kind === "experts"), []);
});

const faults: [what: string, tie: Changes, path: string, wanted: string, others?: Changes][] = [
  [
    "sites that overlap",
    { partitions: { experts: [[0, 1], [1, 2], [3, 4, 5]] } },
    "tie.partitions.experts",
    "every site once: site 1 is named twice",
  ],
  [
    "sites left out",
    { partitions: { attention: [[0, 1], [2, 3, 5]] } },
    "tie.partitions.attention",
    "every site once: site 4 is in no group",
  ],
  [
    "a site that is not there",
    { partitions: { router: [[0, 1, 2, 3, 4, 6]] } },
    "tie.partitions.router",
    "sites 0 to 5: there is no site 6",
  ],
  [
    "a negative site",
    { partitions: { router: [[0, 1, 2, 3, 4, -1]] } },
    "tie.partitions.router",
    "sites 0 to 5: there is no site -1",
  ],
  [
    "an empty group",
    { partitions: { experts: [[0, 1, 2, 3, 4, 5], []] } },
    "tie.partitions.experts",
    "groups of at least one site",
  ],
  ["half a site", { partitions: { experts: [[0.5]] } }, "tie.partitions.experts", "groups of site numbers"],
  ["no partition", { partitions: { experts: "all" } }, "tie.partitions.experts", "groups of site numbers"],
  ["a part that is none", { partitions: { head: [[0]] } }, "tie.partitions.head", ""],
  [
    "a bank of two shapes",
    { skipFirst: 1, skipLast: 1, expand: 9, partitions: { experts: [[0, 1], [2, 3, 4, 5]] } },
    "tie.partitions.experts",
    "groups of sites with one number of experts: site 0 has 5, site 1 has 9",
  ],
  [
    "a router of two shapes",
    { skipFirst: 1, skipLast: 1, expand: 9, partitions: { router: [[1, 2, 3, 4, 5], [0]] } },
    "tie.partitions.router",
    "groups of sites with one number of experts: site 1 has 9",
  ],
  ["loops of other length", { loops: [[1, 1], [2, 3]] }, "tie.loops", "sites that add up to model.layers (6)"],
  ["loops of no layer", { loops: [[0, 1], [6, 1]] }, "tie.loops", "pairs [layers, loops] of integers of at least 1"],
  ["loops of no use", { loops: [[6, 0]] }, "tie.loops", "pairs [layers, loops] of integers of at least 1"],
  ["no loops", { loops: [] }, "tie.loops", "pairs [layers, loops] of integers of at least 1"],
  ["loops beside groups", { groupSize: 2, loops: [[1, 6]] }, "tie.groupSize", "1 beside tie.loops"],
  ["loops beside ends", { skipFirst: 1, loops: [[1, 6]] }, "tie.skipFirst + tie.skipLast", "0 beside tie.loops"],
  ["widening without a loop", { loops: [[6, 1]], expand: 9 }, "tie.expand", "null where no layer is looped"],
  ["nothing shared", { share: [] }, "tie.share", "at least one of attentionNorm, attention"],
  ["a shared thing that is none", { share: ["head"] }, "tie.share.0", '"attentionNorm", "attention"'],
  [
    "an adapter of rank 0",
    { loops: [[1, 6]], share: ["attention"], adapterRank: 0 },
    "tie.adapterRank",
    "an integer of at least 1 or null",
  ],
  [
    "an adapter of nothing shared",
    { loops: [[1, 6]], adapterRank: 2 },
    "tie.adapterRank",
    "null where no attention is shared",
  ],
  [
    "experts of a dense site",
    { partitions: { experts: [[0, 1, 2, 3], [4, 5]] } },
    "tie.partitions.experts",
    "sites that have this part: site 2 has not (model.denseLayers)",
    { model: { denseLayers: [2], denseWidth: 4 } },
  ],
  [
    "a dense site left out",
    { partitions: { feedForward: [[2]] } },
    "tie.partitions.feedForward",
    "every site once: site 3 is in no group",
    { model: { denseLayers: [2, 3], denseWidth: 4 } },
  ],
  ["a share over 1", {}, "collapse.expertShare", "a number above 0 and at most 1", { collapse: { expertShare: 1.5 } }],
];

for (const [what, tie, path, wanted, others] of faults) {
  Deno.test(`manifest() refuses ${what}`, () => refuses(() => manifest(tied(tie, others)), path, wanted));
}
