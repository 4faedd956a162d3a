/**
 * The one list of the manifest's keys, with what each means; help, `--set` and errors are derived from it. Letters as in
 * the rest of the project: D width, L layers, H heads, P head dim, E experts of a bank, K experts per token, F expert
 * width, V vocabulary, S sequence length, B batch.
 */
import * as z from "zod";
import { type Manifest, SITE_PARTS } from "./manifest.ts";
import { MIXTURES } from "./mixtures.ts";

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
const RECOMPUTE = 'true, false or "experts"';
const SHARE = "a number above 0 and at most 1";
// Seeds are u32 in the core.
const SEED = "an integer from 0 to 4294967295";

const model = z.strictObject({
  family: z.enum(["olmoe", "qwen3", "mixtral", "deepseek-style", "vanilla"]).describe(
    "architecture: gives qkNorm, clamp, router and eps where they are not set",
  ),
  vocab: integer(1).describe("V: rows of the embedding and of the head"),
  width: integer(1).describe("D: width of the residual stream"),
  layers: integer(1).describe("L: number of sites, one attention and one feed-forward each"),
  heads: integer(1).describe("H: query heads"),
  kvHeads: integer(1).describe("Hkv: key/value heads, a divisor of heads (default: heads)"),
  headDim: integer(1).describe("P: width of a head, even (default: width / heads)"),
  experts: integer(1).describe("E: experts of a bank"),
  topK: integer(1).describe("K: experts that each token uses at a site"),
  expertWidth: integer(1).describe("F: hidden width of an expert"),
  denseLayers: z.array(integer(0), "a list of site numbers").describe(
    "sites that have a dense feed-forward in place of router and experts",
  ),
  denseWidth: integer(1, "an integer of at least 1 or null").nullable().describe(
    "hidden width of a dense feed-forward; null where there is none",
  ),
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
  tiedHead: flag().describe("whether the embedding is also the head: one matrix"),
});

const PARTITION = "groups of site numbers such as [[0, 2], [1, 3]], or null";
const partition = (part: string) =>
  z.array(z.array(z.int(PARTITION), PARTITION), PARTITION).nullable().describe(
    `which sites share ${part}: groups in which every site that has it stands once; null: as share says`,
  );

const LOOPS = "pairs [layers, loops] of integers of at least 1, or null";

const tie = z.strictObject({
  groupSize: integer(1).describe("g: consecutive middle sites that form a group; 1: none do"),
  skipFirst: integer(0).describe("sites at the start that are in no group"),
  skipLast: integer(0).describe("sites at the end that are in no group"),
  expand: integer(1, "an integer of at least 1 or null").nullable().describe(
    "experts of a middle (or looped) site's bank; null: model.experts. The other sites always have model.experts",
  ),
  loops: z.array(z.tuple([z.int(LOOPS).min(1, LOOPS), z.int(LOOPS).min(1, LOOPS)], LOOPS), LOOPS).min(1, LOOPS)
    .nullable().describe(
      "in place of groupSize: blocks of layers, each applied so many times in a row; the uses of a layer are a group",
    ),
  share: z.array(z.enum(SITE_PARTS), "a list").min(1, `at least one of ${SITE_PARTS.join(", ")}`).describe(
    "parts that the sites of a group share",
  ),
  partitions: z.strictObject({
    attentionNorm: partition("the norm before attention"),
    attention: partition("attention"),
    ffnNorm: partition("the norm before the experts"),
    router: partition("the router"),
    experts: partition("experts"),
    feedForward: partition("the dense feed-forward"),
  }).describe("any sharing, part by part; a part that is given here is not shared by group"),
  adapterRank: integer(1, "an integer of at least 1 or null").nullable().describe(
    "rank of a low-rank adapter (LoRA) on q and k, one for each site whose attention is shared; null: none",
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
    "divides the learning rate of tied banks: sqrt or linear in a bank's uses, or one number for every bank in a group",
  ),
  divisorScope: z.enum(["shared-banks", "loop-group"]).describe(
    "what is divided: matrices that are shared, or all of Muon's matrices of a group's sites, by the group's size (published)",
  ),
  recompute: z.union([z.boolean(RECOMPUTE), z.literal("experts", RECOMPUTE)], RECOMPUTE).describe(
    "what is computed again in the backward pass instead of kept: all of a site but its input (true), or the experts' gate and up projections with what enters them",
  ),
  seed: z.int(SEED).min(0, SEED).max(2 ** 32 - 1, SEED).describe("seed of the initial weights and of the data order"),
});

const source = z.strictObject({
  name: text().describe("what events and messages call it"),
  paths: z.array(text(), "a list of paths").min(1, "at least one path").describe(
    "files, folders, globs, or hf://datasets/<owner>/<name>[@revision][/glob]",
  ),
  column: text().nullable().describe("the text's column by its full path, such as rollout_results.list.element.text"),
  format: z.enum(["auto", "text", "jsonl", "parquet", "arrow", "tokens-u16", "tokens-u32"]).describe(
    "how files are read; auto: by their names",
  ),
  weight: positive().describe("share of the documents drawn, over the sum of all weights"),
}, "an object with name and paths");

/** The section `data`, of manifests and of plans. */
export const data: z.ZodType<Manifest["data"]> = z.strictObject({
  corpus: z.enum(["sotu"]).nullable().describe("a corpus that is installed with the program, or null"),
  files: z.array(text(), "a list of paths").describe("paths of text files; either these, corpus or sources"),
  sources: z.array(source, `a list of sources, or one of ${Object.keys(MIXTURES).join(", ")}`).describe(
    `a mixture that is streamed; the name ${Object.keys(MIXTURES).join(" or ")} stands for a published one`,
  ),
  tokenizer: z.discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("train-bpe").describe("byte-level BPE trained on the data, once"),
      vocab: integer(1).describe("number of tokens, at most model.vocab"),
    }),
    z.strictObject({
      kind: z.literal("file").describe("a Hugging Face tokenizer.json"),
      path: text().describe("its path"),
    }),
    z.strictObject({ kind: z.literal("cl100k").describe("cl100k_base, 100,277 tokens, as published") }),
    z.strictObject({ kind: z.literal("bytes").describe("256 bytes and the separator") }),
  ], "an object with kind").describe("how text becomes tokens (default: train-bpe of model.vocab tokens)"),
  separator: text().describe("text of the token that separates documents"),
  separatorPlacement: z.enum(["before", "after", "none"]).describe("where it stands, seen from a document"),
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
    z.strictObject({
      kind: z.literal("skip-tokens").describe(
        "what follows the first tokens of the stream, as published; trained on, too",
      ),
      tokens: integer(0).describe("how many tokens are skipped"),
    }),
  ], "an object with kind").describe("what is kept for evaluation and never trained on"),
  order: z.enum(["shuffled-windows", "stream"]).describe(
    "shuffled-windows: all windows in memory, shuffled anew each epoch; stream: documents as they are drawn",
  ),
  shuffleBuffer: integer(1).describe("documents of a source that are shuffled together (stream)"),
  atEnd: z.enum(["repeat", "drop", "stop"]).describe(
    "when a source ends: repeat it in another order, go on without it, or end the run (stream)",
  ),
  onBadRecord: z.enum(["stop", "skip"]).describe(
    "what to do with a record that cannot be read: stop, or skip and count it (stream)",
  ),
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

const collapse = z.strictObject({
  expertShare: z.number(SHARE).gt(0, SHARE).max(1, SHARE).describe(
    "largest share of tokens that have one expert as their first choice",
  ),
  deadExperts: nonNegative().describe("experts of a site that are no token's first choice, mean over sites"),
  steps: integer(1).describe("steps in a row over a bound before the warning"),
});

/** The schema of a complete manifest: unknown and missing keys are errors. */
export const manifestSchema: z.ZodType<Manifest> = z.strictObject({
  name: z.string(NAME).regex(/^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/, NAME).describe(
    "name of the experiment and of its run folder",
  ),
  model: model.describe("the architecture"),
  tie: tie.describe("which sites share what"),
  losses: losses.describe("losses beside the language-model loss"),
  optimizer: optimizer.describe("the optimizer"),
  train: train.describe("how long, how fast, on how much"),
  data: data.describe("what to train on"),
  checkpoint: checkpoint.describe("checkpoints"),
  eval: evaluation.describe("evaluation on the held-out set"),
  collapse: collapse.describe("when to warn that routers use few experts"),
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
