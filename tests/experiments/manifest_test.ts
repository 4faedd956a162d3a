import assert from "node:assert/strict";
import { manifest, manifestKeys, nano, plan, preset, presets } from "../../experiments/mod.ts";
import { editDistance, nearest } from "../../experiments/errors.ts";
import { changed, type Changes, refuses, small } from "./support.ts";

const DIVISORS = '"none", "sqrt", "linear" or a positive number';

/** A mistake in the small experiment, the path that the error names, and what it says is wanted. */
const MISTAKES: [what: string, changes: Changes, path: string, wanted: string][] = [
  ["an unknown section", { treen: {} }, "treen", "train"],
  ["a mistyped key", { train: { stepz: 3 } }, "train.stepz", "train.steps"],
  ["a key like no other", { train: { zzzzzzzzz: 3 } }, "train.zzzzzzzzz", "one of train.steps, train.batch"],
  ["a key of another section", { tie: { seqLen: 3 } }, "tie.seqLen", "train.seqLen"],
  ["a missing key", { model: { width: undefined } }, "model.width: missing", "an integer of at least 1"],
  ["a value of another type", { train: { steps: "many" } }, "train.steps", "an integer of at least 1"],
  ["a fraction of a step", { train: { steps: 1.5 } }, "train.steps: 1.5", "an integer of at least 1"],
  ["a section that is none", { tie: 4 }, "tie: 4", "an object"],
  ["an unknown family", { model: { family: "gpt" } }, "model.family", '"olmoe", "qwen3", "mixtral", "deepseek-style"'],
  ["an unknown choice", { model: { qkNorm: "hed" } }, "model.qkNorm", '"whole", "head", "none"'],
  ["more choices than experts", { model: { topK: 6 } }, "model.topK: 6", "at most model.experts (5)"],
  [
    "a dense site that is not there",
    { model: { denseLayers: [6], denseWidth: 9 } },
    "model.denseLayers: [6]",
    "sites 0 to 5",
  ],
  ["a dense site twice", { model: { denseLayers: [1, 1], denseWidth: 9 } }, "model.denseLayers", "every site once"],
  [
    "dense sites of no width",
    { model: { denseLayers: [1] } },
    "model.denseWidth: null",
    "a width for model.denseLayers",
  ],
  [
    "a width of no dense site",
    { model: { denseWidth: 9 } },
    "model.denseWidth: 9",
    "null where model.denseLayers is empty",
  ],
  ["more choices than a widened bank has", { tie: { expand: 1 } }, "tie.expand: 1", "at least model.topK (2)"],
  ["no expert in a middle bank", { tie: { expand: 0 } }, "tie.expand: 0", "an integer of at least 1 or null"],
  [
    "a width that heads do not divide",
    { model: { width: 25, headDim: undefined } },
    "model.heads: 4",
    "a divisor of model.width (25), or model.headDim given",
  ],
  ["heads not shared evenly", { model: { kvHeads: 3 } }, "model.heads: 4", "a multiple of model.kvHeads (3)"],
  ["an odd head", { model: { headDim: 7 } }, "model.headDim: 7", "an even number"],
  ["a group of no sites", { tie: { groupSize: 0 } }, "tie.groupSize: 0", "an integer of at least 1"],
  [
    "ends longer than the model",
    { tie: { skipFirst: 4, skipLast: 3 } },
    "tie.skipFirst + tie.skipLast: 7",
    "at most model.layers (6)",
  ],
  ["tying without a middle", { tie: { skipFirst: 3, skipLast: 3 } }, "tie.groupSize: 2", "1 where no site is between"],
  [
    "widening without a middle",
    { tie: { groupSize: 1, expand: 9, skipFirst: 5 } },
    "tie.expand: 9",
    "null where no site is between",
  ],
  ["no steps", { train: { steps: 0 } }, "train.steps: 0", "an integer of at least 1"],
  ["an empty batch", { train: { batch: 0 } }, "train.batch: 0", "an integer of at least 1"],
  ["no micro-step", { train: { accumulation: 0 } }, "train.accumulation: 0", "an integer of at least 1"],
  ["empty windows", { train: { seqLen: 0 } }, "train.seqLen: 0", "an integer of at least 1"],
  ["windows too long for the model", { train: { seqLen: 65 } }, "train.seqLen: 65", "at most model.maxSeqLen (64)"],
  ["a learning rate of 0", { train: { lr: 0 } }, "train.lr: 0", "a positive finite number"],
  ["a negative learning rate", { train: { lr: -1 } }, "train.lr: -1", "a positive finite number"],
  ["an infinite learning rate", { train: { lr: Infinity } }, "train.lr: Infinity", "a positive finite number"],
  ["a learning rate that is no number", { train: { lr: NaN } }, "train.lr: NaN", "a positive finite number"],
  ["a negative seed", { train: { seed: -1 } }, "train.seed: -1", "an integer from 0 to 4294967295"],
  ["a seed over 32 bits", { train: { seed: 2 ** 32 } }, "train.seed: 4294967296", "an integer from 0 to 4294967295"],
  ["a divisor of 0", { train: { tiedLrDivisor: 0 } }, "train.tiedLrDivisor: 0", DIVISORS],
  ["a negative divisor", { train: { tiedLrDivisor: -2 } }, "train.tiedLrDivisor: -2", DIVISORS],
  ["an unknown divisor", { train: { tiedLrDivisor: "cube" } }, "train.tiedLrDivisor", DIVISORS],
  [
    "a held-out index that no document has",
    { data: { heldOut: { kind: "documents", every: 20, index: 20 } } },
    "data.heldOut.index: 20",
    "below data.heldOut.every (20)",
  ],
  [
    "nothing left to train on",
    { data: { heldOut: { kind: "documents", every: 1, index: 0 } } },
    "data.heldOut.every: 1",
    "an integer of at least 2",
  ],
  ["an unknown way to hold out", { data: { heldOut: { kind: "head" } } }, "data.heldOut.kind", '"documents", "tail"'],
  [
    "all held out",
    { data: { heldOut: { kind: "tail", fraction: 1 } } },
    "data.heldOut.fraction: 1",
    "a number between",
  ],
  [
    "two sources of data",
    { data: { corpus: "sotu", files: ["a.txt"] } },
    "data: {",
    "one of corpus, files and sources",
  ],
  [
    "more tokens than the model has",
    { data: { tokenizer: { kind: "train-bpe", vocab: 301 } } },
    "data.tokenizer.vocab: 301",
    "at most model.vocab (300)",
  ],
  [
    "too few tokens for bytes",
    { data: { corpus: "sotu", tokenizer: { kind: "train-bpe", vocab: 256 } } },
    "data.tokenizer.vocab: 256",
    "at least 257",
  ],
  [
    "renormalisation of what sums to 1",
    { model: { router: { score: "top-k-then-softmax", renormalize: true } } },
    "model.router.renormalize",
    "false",
  ],
  ["no target left", { train: { seqLen: 1 }, losses: { maskLastTarget: true } }, "losses.maskLastTarget", "false"],
  ["a name that is no path", { name: "../up" }, "name", "letters, digits"],
];

for (const [what, changes, path, wanted] of MISTAKES) {
  Deno.test(`manifest() refuses ${what}`, () => refuses(() => manifest(changed(changes)), path, wanted));
}

Deno.test("manifest() refuses what is no object", async () => {
  for (const input of [5, null, [], "nano"]) {
    await refuses(() => manifest(input as never), "the manifest", "an object");
  }
});

Deno.test("a complete manifest comes back unchanged, also through JSON", () => {
  for (const input of [small, ...presets]) {
    const complete = manifest(input);
    assert.deepEqual(manifest(complete), complete);
    assert.deepEqual(manifest(JSON.parse(JSON.stringify(complete))), complete);
  }
});

Deno.test("a family gives what is not set, and no more", () => {
  const { clamp, eps, qkNorm, router } = manifest(small).model;
  assert.deepEqual({ clamp, eps, qkNorm, router }, {
    clamp: null,
    eps: 1e-6,
    qkNorm: "head",
    router: { score: "softmax-then-top-k", renormalize: true },
  });
  const set = manifest(changed({ model: { clamp: 3, router: { renormalize: false } } })).model;
  assert.equal(set.clamp, 3);
  assert.deepEqual(set.router, { score: "softmax-then-top-k", renormalize: false });
  const olmoe = manifest(changed({ model: { family: "olmoe" } })).model;
  assert.deepEqual([olmoe.qkNorm, olmoe.clamp, olmoe.eps, olmoe.router.renormalize], ["whole", 8, 1e-5, false]);
});

Deno.test("the learning rate follows the optimizer unless it is set", () => {
  assert.equal(manifest(small).train.lr, 0.02);
  assert.equal(manifest(changed({ optimizer: { kind: "adamw" } })).train.lr, 3e-4);
  assert.equal(manifest(changed({ optimizer: { kind: "adamw" }, train: { lr: 1e-3 } })).train.lr, 1e-3);
  assert.equal(plan(changed({ optimizer: { kind: "adamw" }, train: { lr: 1e-3 } })).optimizer.adamw.lr, 1e-3);
  assert.equal(plan(small).optimizer.adamw.lr, 0.02 * 0.1);
});

Deno.test("manifest() leaves its input as it was", () => {
  const before = structuredClone(small);
  manifest(small);
  assert.deepEqual(small, before);
});

Deno.test("every key of the manifest is described, and keys cover every complete manifest", () => {
  const keys = manifestKeys();
  for (const { path, description } of keys) assert.notEqual(description, "", `${path} has no description`);
  const paths = new Set(keys.map((key) => key.path));
  const visit = (value: unknown, path: string) => {
    if (path !== "") assert.ok(paths.has(path), `${path} is not listed`);
    if (Object(value) !== value || Array.isArray(value)) return;
    for (const [key, child] of Object.entries(Object(value))) visit(child, path === "" ? key : `${path}.${key}`);
  };
  for (const input of [nano, changed({ data: { tokenizer: { kind: "file", path: "t.json" } } })]) {
    visit(manifest(input), "");
  }
});

Deno.test("preset() refuses an unknown name and says the nearest ones", async () => {
  await refuses(() => preset("nanno"), "preset nanno", "nano");
  await refuses(() => preset("olmoe"), "preset olmoe", "olmoe-regular, olmoe-small, olmoe-tiny");
  await refuses(() => preset("qwen3-tiyn"), "preset qwen3-tiyn", "qwen3-tiny");
  await refuses(() => preset("###"), "preset ###", "quickstart, nano, olmoe-regular");
});

Deno.test("nearest() has what is alike, best first, and nothing else", () => {
  assert.deepEqual(nearest("tiny", ["tine", "tiny", "huge"]), ["tiny", "tine"]);
  assert.deepEqual(nearest("width", ["depth", "huge"]), []);
});

Deno.test("editDistance() counts insertions, deletions, replacements and swaps", () => {
  const cases = [["", "", 0], ["", "abc", 3], ["abc", "", 3], ["steps", "stesp", 1], ["kitten", "sitting", 3]] as const;
  for (const [a, b, distance] of cases) {
    assert.equal(editDistance(a, b), distance, `${a} to ${b}`);
    assert.equal(editDistance(b, a), distance, `${b} to ${a}`);
  }
});
