/**
 * The plan: what a manifest resolves to, and all that the core reads. Banks own parameters, sites name banks; tying is
 * two sites that name the same bank. Nothing is defaulted after this point.
 */
import * as z from "zod";

const size = z.int().min(1);
const id = z.string().min(1);

/** What every bank has beside its shape and its options. */
const common = {
  id,
  /** Optimizer of the bank's matrices; norm gains are always AdamW's. */
  optimizer: z.enum(["muon", "adamw"]),
  /** The learning rate of this bank is divided by it. */
  lrDivisor: z.number().positive(),
  /** Number of sites that name the bank; embedding, head and final norm count as one each. */
  uses: size,
  /** Gain of the xavier-uniform init of each matrix. Norm gains start at 1. */
  initGain: z.number().positive(),
};

const bank = <const K extends string, S extends z.ZodRawShape, O extends z.ZodRawShape>(
  kind: K,
  shape: S,
  options: O,
) =>
  z.strictObject({ ...common, kind: z.literal(kind), shape: z.strictObject(shape), options: z.strictObject(options) });

const bankSchema = z.discriminatedUnion("kind", [
  bank("embedding", { V: size, D: size }, {}),
  bank("head", { V: size, D: size }, {}),
  bank("norm", { D: size }, { eps: z.number().positive() }),
  bank("attention", { D: size, H: size, Hkv: size, P: size }, {
    qkNorm: z.enum(["whole", "head", "none"]),
    clamp: z.number().positive().nullable(),
    ropeTheta: z.number().positive(),
    eps: z.number().positive(),
  }),
  bank("router", { D: size, E: size }, {
    topK: size,
    score: z.enum(["softmax-then-top-k", "top-k-then-softmax"]),
    renormalize: z.boolean(),
  }),
  bank("experts", { E: size, D: size, F: size }, { muonSlices: z.enum(["fused", "split"]) }),
]);

const siteSchema = z.strictObject({ attentionNorm: id, attention: id, ffnNorm: id, router: id, experts: id });

/** The schema of plan.json: unknown and missing keys are errors. */
export const planSchema = z.strictObject({
  format: z.literal(1),
  name: z.string().min(1),
  seed: z.int().min(0).max(2 ** 32 - 1),
  model: z.strictObject({
    family: id,
    vocab: size,
    width: size,
    /** Bank ids; a head that names the embedding is tied to it. */
    embedding: id,
    head: id,
    finalNorm: id,
    maxSeqLen: size,
  }),
  banks: z.array(bankSchema),
  sites: z.array(siteSchema).min(1),
  losses: z.strictObject({
    balance: z.strictObject({ coefficient: z.number().min(0), counts: z.enum(["top-k", "argmax"]) }),
    z: z.strictObject({ coefficient: z.number().min(0) }),
    maskLastTarget: z.boolean(),
  }),
  optimizer: z.strictObject({
    kind: z.enum(["muon", "adamw"]),
    muon: z.strictObject({
      lr: z.number().positive(),
      momentum: z.number().min(0).lt(1),
      weightDecay: z.number().min(0),
      newtonSchulzSteps: size,
    }),
    adamw: z.strictObject({
      lr: z.number().positive(),
      beta1: z.number().min(0).lt(1),
      beta2: z.number().min(0).lt(1),
      eps: z.number().positive(),
      weightDecay: z.number().min(0),
    }),
    clipNorm: z.number().positive(),
  }),
  schedule: z.strictObject({ warmupSteps: z.int().min(0), steps: size, finalFraction: z.number().min(0).max(1) }),
  train: z.strictObject({ steps: size, batch: size, accumulation: size, seqLen: size, recompute: z.boolean() }),
  data: z.strictObject({
    corpus: z.enum(["sotu"]).nullable(),
    files: z.array(z.string().min(1)),
    tokenizer: z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("train-bpe"), vocab: size }),
      z.strictObject({ kind: z.literal("file"), path: z.string().min(1) }),
    ]),
    separator: z.string().min(1),
    minCharacters: z.int().min(0),
    heldOut: z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("documents"), every: z.int().min(2), index: z.int().min(0) }),
      z.strictObject({ kind: z.literal("tail"), fraction: z.number().gt(0).lt(1) }),
    ]),
    order: z.enum(["shuffled-windows"]),
  }),
  checkpoint: z.strictObject({ every: size, keep: size }),
  eval: z.strictObject({ every: size, batches: size.nullable() }),
});

/** A resolved experiment. */
export type Plan = z.infer<typeof planSchema>;

/** A bank: parameters that one or more sites use. Which shape and options it has follows from its kind. */
export type Bank = z.infer<typeof bankSchema>;

/** A layer application: the ids of the banks it uses. */
export type Site = z.infer<typeof siteSchema>;

/** A bank of one kind. */
export type BankOf<K extends Bank["kind"]> = Extract<Bank, { kind: K }>;
