/**
 * The one list of the manifest's keys, with what each means; help, `--set` and errors are derived from it. Letters as in
 * the rest of the project: D width, L layers, H heads, P head dim, E experts of a bank, K experts per token, F expert
 * width, V vocabulary, S sequence length, B batch.
 */
import * as z from "zod";
import type { Manifest } from "./manifest.ts";

// Each constructor takes the words that an error uses after "wanted".
const integer = (least: number, wanted = `an integer of at least ${least}`) => z.int(wanted).min(least, wanted);
const positive = (wanted = "a positive finite number") => z.number(wanted).positive(wanted);
const between = (low: number, high: number, wanted = `a number from ${low} to ${high}`) =>
  z.number(wanted).min(low, wanted).max(high, wanted);
const nonNegative = (wanted = "a finite number of at least 0") => z.number(wanted).min(0, wanted);
const decayRate = (wanted = "a number of at least 0 and below 1") => z.number(wanted).min(0, wanted).lt(1, wanted);
const inside = (wanted = "a number between 0 and 1, both excluded") => z.number(wanted).gt(0, wanted).lt(1, wanted);
const text = (wanted = "a string that is not empty") => z.string(wanted).min(1, wanted);
const flag = () => z.boolean("true or false");

const NAME = "letters, digits and . _ - in parts joined by /";
const DIVISOR = '"none", "sqrt", "linear" or a positive number';
// Seeds are u32 in the core.
const SEED = "an integer from 0 to 4294967295";

const model = z.strictObject({
  family: z.enum(["olmoe", "qwen3", "deepseek-style"]).describe(
    "architecture: gives qkNorm, clamp, router and eps where they are not set",
  ),
  vocab: integer(1).describe("V: rows of the embedding and of the head"),
  width: integer(1).describe("D: width of the residual stream"),
  layers: integer(1).describe("L: number of sites, one attention and one expert layer each"),
  heads: integer(1).describe("H: query heads"),
  kvHeads: integer(1).describe("Hkv: key/value heads, a divisor of heads (default: heads)"),
  headDim: integer(1).describe("P: width of a head, even (default: width / heads)"),
  experts: integer(1).describe("E: experts of a bank"),
  topK: integer(1).describe("K: experts that each token uses at a site"),
  expertWidth: integer(1).describe("F: hidden width of an expert"),
  qkNorm: z.enum(["whole", "head", "none"]).describe("RMSNorm of queries and keys: whole vector, per head, or none"),
  clamp: positive("a positive finite number or null").nullable().describe(
    "queries, keys and values are cut to [-clamp, clamp] after the norm; null: not cut",
  ),
  router: z.strictObject({
    score: z.enum(["softmax-then-top-k", "top-k-then-softmax"]).describe("what comes first, softmax or the choice"),
    renormalize: flag().describe("whether the K combine weights are divided by their sum"),
  }).describe("how logits become choices and combine weights"),
  eps: positive().describe("added to the mean square in every RMSNorm"),
  ropeTheta: positive().describe("base of the rotary position angles"),
  maxSeqLen: integer(1).describe("longest sequence the model is made for, in tokens"),
  paddingToken: integer(0, "an integer from 0 to model.vocab - 1, or null").nullable().describe(
    "a token whose embedding row gets no gradient, as the published OLMoE trainer has it for token 1; null: none",
  ),
});

const tie = z.strictObject({
  groupSize: integer(1).describe("g: consecutive middle sites that share one expert bank; 1: untied"),
  skipFirst: integer(0).describe("sites at the start that keep their own bank"),
  skipLast: integer(0).describe("sites at the end that keep their own bank"),
  expand: integer(1, "an integer of at least 1 or null").nullable().describe(
    "experts of a middle bank; null: model.experts. The ends always have model.experts",
  ),
});

/** The section `losses`, of manifests and of plans. */
export const losses: z.ZodType<Manifest["losses"]> = z.strictObject({
  balance: z.strictObject({
    coefficient: nonNegative().describe("weight of the load-balance loss, mean over sites"),
    counts: z.enum(["top-k", "argmax"]).describe("which choices count as load: all K, or the first"),
  }).describe("load-balance loss"),
  z: z.strictObject({
    coefficient: nonNegative().describe("weight of the router z-loss, mean over sites"),
  }).describe("router z-loss"),
  maskLastTarget: flag().describe("leave the last target of each window out (parity with the published trainer)"),
});

const optimizer = z.strictObject({
  kind: z.enum(["muon", "adamw"]).describe("muon: matrices by Muon and the rest by AdamW; adamw: all by AdamW"),
  muon: z.strictObject({
    momentum: decayRate().describe("mu of the Nesterov momentum"),
    weightDecay: nonNegative().describe("decoupled decay, times the undivided learning rate"),
    newtonSchulzSteps: integer(1).describe("iterations of the orthogonalisation"),
    slices: z.enum(["fused", "split"]).describe("an expert's gate and up: one (2F, D) matrix, or two of (F, D)"),
  }).describe("Muon"),
  adamw: z.strictObject({
    lrRatio: positive().describe('AdamW learning rate over train.lr; kind "adamw" uses train.lr itself'),
    beta1: decayRate().describe("decay of the first moment"),
    beta2: decayRate().describe("decay of the second moment"),
    eps: positive().describe("added to the root of the second moment"),
    weightDecay: nonNegative().describe("decoupled decay, times the learning rate"),
  }).describe("AdamW"),
  clipNorm: positive().describe("global gradient norm above which gradients are scaled down"),
});

const train = z.strictObject({
  steps: integer(1).describe("optimizer steps; also the length of the schedule"),
  batch: integer(1).describe("B: sequences per micro-step"),
  accumulation: integer(1).describe("micro-steps per optimizer step"),
  seqLen: integer(1).describe("S: tokens per sequence, at most model.maxSeqLen"),
  lr: positive().describe("peak learning rate: Muon's, or AdamW's if optimizer.kind is adamw"),
  warmupSteps: integer(0).describe("steps of linear warmup before the cosine"),
  finalFraction: between(0, 1).describe("learning rate at the end over the peak"),
  tiedLrDivisor: z.union([z.enum(["none", "sqrt", "linear"], DIVISOR), positive(DIVISOR)], DIVISOR).describe(
    "divides the learning rate of tied expert banks: sqrt or linear in a bank's uses, or one number for every middle bank if tie.groupSize > 1",
  ),
  recompute: flag().describe("keep only each site's input and recompute the rest in the backward pass"),
  seed: z.int(SEED).min(0, SEED).max(2 ** 32 - 1, SEED).describe("seed of the initial weights and of the data order"),
});

/** The section `data`, of manifests and of plans. */
export const data: z.ZodType<Manifest["data"]> = z.strictObject({
  corpus: z.enum(["sotu"]).nullable().describe("a corpus that is installed with the program, or null"),
  files: z.array(text(), "a list of paths").describe("paths of text files; either these or corpus"),
  tokenizer: z.discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("train-bpe").describe("byte-level BPE trained on the data, once"),
      vocab: integer(1).describe("number of tokens, at most model.vocab"),
    }),
    z.strictObject({
      kind: z.literal("file").describe("a Hugging Face tokenizer.json"),
      path: text().describe("its path"),
    }),
  ], "an object with kind").describe("how text becomes tokens (default: train-bpe of model.vocab tokens)"),
  separator: text().describe("text of the token that separates documents"),
  minCharacters: integer(0).describe("documents with fewer characters are skipped and counted"),
  heldOut: z.discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("documents").describe("every n-th document"),
      every: integer(2).describe("n"),
      index: integer(0).describe("which of each n, from 0"),
    }),
    z.strictObject({
      kind: z.literal("tail").describe("the end of the data"),
      fraction: inside().describe("share of the tokens"),
    }),
  ], "an object with kind").describe("what is kept for evaluation and never trained on"),
  order: z.enum(["shuffled-windows"]).describe("order of the training windows"),
});

/** The section `checkpoint`, of manifests and of plans. */
export const checkpoint: z.ZodType<Manifest["checkpoint"]> = z.strictObject({
  every: integer(1).describe("steps between checkpoints"),
  keep: integer(1).describe("checkpoints kept, the newest ones"),
});

/** The section `eval`, of manifests and of plans. */
export const evaluation: z.ZodType<Manifest["eval"]> = z.strictObject({
  every: integer(1).describe("steps between evaluations"),
  batches: integer(1, "an integer of at least 1 or null").nullable().describe(
    "batches of an evaluation; null: the whole held-out set",
  ),
});

/** The schema of a complete manifest: unknown and missing keys are errors. */
export const manifestSchema: z.ZodType<Manifest> = z.strictObject({
  name: z.string(NAME).regex(/^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/, NAME).describe(
    "name of the experiment and of its run folder",
  ),
  model: model.describe("the architecture"),
  tie: tie.describe("which sites share experts"),
  losses: losses.describe("losses beside the language-model loss"),
  optimizer: optimizer.describe("the optimizer"),
  train: train.describe("how long, how fast, on how much"),
  data: data.describe("what to train on"),
  checkpoint: checkpoint.describe("checkpoints"),
  eval: evaluation.describe("evaluation on the held-out set"),
});

/** One key of the manifest, for help and for `--set`. */
export interface ManifestKey {
  /** Dotted path, such as `train.steps`. */
  path: string;
  /** What the key means. */
  description: string;
  /** Whether it holds other keys. */
  isSection: boolean;
}

/** Every key of the manifest, sections before their keys, in the order of the schema. */
export function manifestKeys(): ManifestKey[] {
  const byPath = new Map<string, ManifestKey>();
  const visit = (schema: unknown, path: string) => {
    if (schema instanceof z.ZodNullable) return visit(schema.unwrap(), path);
    if (schema instanceof z.ZodDiscriminatedUnion) return schema.options.forEach((option) => visit(option, path));
    if (!(schema instanceof z.ZodObject)) return;
    for (const [key, child] of Object.entries<z.ZodType>(schema.shape)) {
      const at = path === "" ? key : `${path}.${key}`;
      const isSection = child instanceof z.ZodObject || child instanceof z.ZodDiscriminatedUnion;
      const known = byPath.get(at)?.description;
      const own = child.description ?? "";
      byPath.set(at, { path: at, description: known ? `${known}; or ${own}` : own, isSection });
      visit(child, at);
    }
  };
  visit(manifestSchema, "");
  return [...byPath.values()];
}
