/**
 * The plan: what a manifest resolves to, and all that the core reads. Banks own parameters, sites name banks; tying is
 * two sites that name the same bank. Nothing is defaulted after this point.
 */
import * as z from "zod";
import type { Manifest, Recompute } from "./manifest.ts";
import { checkpoint, data, evaluation, losses } from "./schema.ts";

/** A resolved experiment. */
export interface Plan {
  /** Version of this format. */
  format: 3;
  /** Name of the experiment. */
  name: string;
  /** Seed of the initial weights and of the data order, u32. */
  seed: number;
  /** What stands before and after the sites. `embedding`, `head` and `finalNorm` are bank ids; a head that names the embedding is tied to it. */
  model: {
    family: string;
    vocab: number;
    width: number;
    embedding: string;
    head: string;
    finalNorm: string;
    maxSeqLen: number;
    /** A token whose embedding row gets no gradient, or null. */
    paddingToken: number | null;
  };
  /** All parameters, each once. */
  banks: Bank[];
  /** The layer applications, in order. */
  sites: Site[];
  /** As in the manifest. */
  losses: Manifest["losses"];
  /** Both optimizers; with kind `adamw` every bank is AdamW's. Learning rates are the peaks of undivided banks. */
  optimizer: {
    kind: Optimizer;
    muon: { lr: number; momentum: number; weightDecay: number; newtonSchulzSteps: number };
    adamw: { lr: number; beta1: number; beta2: number; eps: number; weightDecay: number };
    clipNorm: number;
  };
  /** Linear warmup to the peak, then a cosine to `finalFraction` of it at `steps`. */
  schedule: { warmupSteps: number; steps: number; finalFraction: number };
  /** B x S tokens per micro-step, `accumulation` micro-steps per step. */
  train: { steps: number; batch: number; accumulation: number; seqLen: number; recompute: Recompute };
  /** As in the manifest. */
  data: Manifest["data"];
  /** As in the manifest. */
  checkpoint: Manifest["checkpoint"];
  /** As in the manifest. */
  eval: Manifest["eval"];
}

/** Who updates a parameter. */
export type Optimizer = "muon" | "adamw";

/** What every bank has beside its kind, shape and options. */
export interface BankCommon {
  /** Unique name; parameters are called `<id>.<part>`. */
  id: string;
  /** Optimizer of the bank's matrices; norm gains are always AdamW's. */
  optimizer: Optimizer;
  /** The learning rate of the bank's matrices is divided by it. */
  lrDivisor: number;
  /** Number of sites that name the bank; embedding, head and final norm count as one each. */
  uses: number;
  /** Gain of the xavier-uniform init of each matrix and of each expert's slice. Norm gains start at 1. */
  initGain: number;
}

/** Shape and options of each kind of bank. */
export interface BankKinds {
  /** One matrix (V, D). */
  embedding: { shape: { V: number; D: number }; options: Record<string, never> };
  /** One matrix (V, D). */
  head: { shape: { V: number; D: number }; options: Record<string, never> };
  /** Gains (D) of an RMSNorm. */
  norm: { shape: { D: number }; options: { eps: number } };
  /** q (H P, D), k and v (Hkv P, D), output (D, H P), and the gains of the q and k norms. */
  attention: {
    shape: { D: number; H: number; Hkv: number; P: number };
    options: Pick<Manifest["model"], "qkNorm" | "clamp" | "ropeTheta" | "eps">;
  };
  /** One matrix (E, D). */
  router: { shape: { D: number; E: number }; options: { topK: number } & Manifest["model"]["router"] };
  /** Gate and up, fused: (E, 2F, D), and down: (E, D, F). */
  experts: { shape: { E: number; D: number; F: number }; options: { muonSlices: "fused" | "split" } };
  /** Gate and up, fused: (2F, D), and down: (D, F). */
  feed_forward: { shape: { D: number; F: number }; options: { muonSlices: "fused" | "split" } };
  /** A low-rank addition to the q and k projections (LoRA, arXiv 2106.09685): a (R, D), b_q (H P, R), b_k (Hkv P, R). */
  adapter: { shape: { D: number; H: number; Hkv: number; P: number; R: number }; options: Record<string, never> };
}

/** A bank of one kind. */
export type BankOf<K extends keyof BankKinds> = BankCommon & { kind: K } & BankKinds[K];

/** A bank: parameters that one or more sites use. */
export type Bank = { [K in keyof BankKinds]: BankOf<K> }[keyof BankKinds];

/** A layer application: the ids of the banks it uses. It has either a router and experts, or a dense feed-forward. */
export interface Site {
  /** Norm before attention. */
  attentionNorm: string;
  /** Attention. */
  attention: string;
  /** Norm before the experts or the dense feed-forward. */
  ffnNorm: string;
  /** Router, or null; it has as many outputs as the bank of experts has experts. */
  router: string | null;
  /** Experts, or null. */
  experts: string | null;
  /** Dense feed-forward, or null. */
  feedForward: string | null;
  /** Low-rank addition to q and k, or null. */
  adapter: string | null;
}

// --- schema ---

const size = z.int().min(1);
const text = z.string().min(1);
const positive = z.number().positive();
const nonNegative = z.number().min(0);
const decayRate = z.number().min(0).lt(1);

const bank = <const K extends string, S extends z.ZodRawShape, O extends z.ZodRawShape>(
  kind: K,
  shape: S,
  options: O,
) =>
  z.strictObject({
    id: text,
    kind: z.literal(kind),
    shape: z.strictObject(shape),
    options: z.strictObject(options),
    optimizer: z.enum(["muon", "adamw"]),
    lrDivisor: positive,
    uses: size,
    initGain: positive,
  });

const banks: z.ZodType<Bank[]> = z.array(z.discriminatedUnion("kind", [
  bank("embedding", { V: size, D: size }, {}),
  bank("head", { V: size, D: size }, {}),
  bank("norm", { D: size }, { eps: positive }),
  bank("attention", { D: size, H: size, Hkv: size, P: size }, {
    qkNorm: z.enum(["whole", "head", "none"]),
    clamp: positive.nullable(),
    ropeTheta: positive,
    eps: positive,
  }),
  bank("router", { D: size, E: size }, {
    topK: size,
    score: z.enum(["softmax-then-top-k", "top-k-then-softmax"]),
    renormalize: z.boolean(),
  }),
  bank("experts", { E: size, D: size, F: size }, { muonSlices: z.enum(["fused", "split"]) }),
  bank("feed_forward", { D: size, F: size }, { muonSlices: z.enum(["fused", "split"]) }),
  bank("adapter", { D: size, H: size, Hkv: size, P: size, R: size }, {}),
]));

/** The schema of plan.json: unknown and missing keys are errors. */
export const planSchema: z.ZodType<Plan> = z.strictObject({
  format: z.literal(3),
  name: text,
  seed: z.int().min(0).max(2 ** 32 - 1),
  model: z.strictObject({
    family: text,
    vocab: size,
    width: size,
    embedding: text,
    head: text,
    finalNorm: text,
    maxSeqLen: size,
    /** A token whose embedding row gets no gradient, or null. */
    paddingToken: z.int().min(0).nullable(),
  }),
  banks,
  sites: z.array(z.strictObject({
    attentionNorm: text,
    attention: text,
    ffnNorm: text,
    router: text.nullable(),
    experts: text.nullable(),
    feedForward: text.nullable(),
    adapter: text.nullable(),
  })).min(1),
  losses,
  optimizer: z.strictObject({
    kind: z.enum(["muon", "adamw"]),
    muon: z.strictObject({ lr: positive, momentum: decayRate, weightDecay: nonNegative, newtonSchulzSteps: size }),
    adamw: z.strictObject({
      lr: positive,
      beta1: decayRate,
      beta2: decayRate,
      eps: positive,
      weightDecay: nonNegative,
    }),
    clipNorm: positive,
  }),
  schedule: z.strictObject({ warmupSteps: z.int().min(0), steps: size, finalFraction: z.number().min(0).max(1) }),
  train: z.strictObject({
    steps: size,
    batch: size,
    accumulation: size,
    seqLen: size,
    recompute: z.union([z.boolean(), z.literal("experts")]),
  }),
  data,
  checkpoint,
  eval: evaluation,
});
