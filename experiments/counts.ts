/**
 * What a plan costs, from the plan alone: parameters, arithmetic, memory traffic, time. Memory held is the core's to say.
 * Everything is f32. Letters: T tokens of a micro-step, and those of the plan.
 */
import { bankElements, bankOf, elements, parts, type SiteBanks, siteBanks, sum } from "./parts.ts";
import type { Plan } from "./plan.ts";

/** Bytes of an f32. */
const F32 = 4;

/** Numbers of parameters. */
export interface ParameterCounts {
  /** All, each bank once. */
  total: number;
  /** Those in expert banks, each bank once. */
  experts: number;
  /** Those one token passes: all but the experts, and at every site K experts, tied or not. */
  active: number;
}

/** Counts the parameters of a plan. */
export function countParameters(plan: Plan): ParameterCounts {
  const total = sum(plan.banks.map(bankElements));
  const experts = sum(plan.banks.filter((bank) => bank.kind === "experts").map(bankElements));
  const chosen = sum(
    siteBanks(plan).map(({ moe }) =>
      moe ? moe.router.options.topK * bankElements(moe.experts) / moe.experts.shape.E : 0
    ),
  );
  return { total, experts, active: total - experts + chosen };
}

/** FLOPs of one token, a multiplication and an addition counted apart. */
export interface TokenFlops {
  /** q, k, v and output projections, and the adapter of q and k. */
  attentionProjections: number;
  /** Scores and weighted values: the mean over the positions of a window, causal. */
  attentionScores: number;
  /** Router logits. */
  router: number;
  /** K experts at every site that has some. */
  experts: number;
  /** Dense feed-forward, at the sites that have it. */
  feedForward: number;
  /** Logits of the vocabulary. */
  head: number;
  /** Sum of the above; norms, rotations, softmax and the like are left out. */
  total: number;
}

/** FLOPs of a plan. */
export interface Flops {
  /** Of one token. A training pass is three forward passes: the loss, and the gradients of inputs and of weights. */
  perToken: { forward: TokenFlops; training: TokenFlops };
  /** Of one optimizer step. */
  perStep: {
    /** The training pass of all tokens. */
    model: number;
    /** Sites run again in the backward pass; 0 unless `train.recompute`. */
    recompute: number;
    /** Muon's orthogonalisation, independent of the tokens. */
    newtonSchulz: number;
    /** Sum of the above. */
    total: number;
  };
}

/** Counts the arithmetic of a plan. */
export function countFlops(plan: Plan): Flops {
  const { seqLen, recompute } = plan.train;
  const forward = withTotal({
    attentionProjections: overSites(
      plan,
      ({ attention: { shape: { D, H, Hkv, P } }, adapter }) =>
        4 * D * P * (H + Hkv) + (adapter ? 2 * bankElements(adapter) : 0),
    ),
    // Two products of 2 H P FLOPs per key; position s sees s + 1 keys, (S + 1) / 2 in the mean.
    attentionScores: overSites(plan, ({ attention: { shape: { H, P } } }) => 2 * H * P * (seqLen + 1)),
    router: overSites(plan, ({ moe }) => moe ? 2 * bankElements(moe.router) : 0),
    experts: overSites(plan, ({ moe }) => {
      return moe ? 6 * moe.router.options.topK * moe.experts.shape.D * moe.experts.shape.F : 0;
    }),
    feedForward: overSites(plan, ({ dense }) => dense ? 2 * bankElements(dense) : 0),
    head: 2 * plan.model.vocab * plan.model.width,
  });
  const training = withTotal({
    attentionProjections: 3 * forward.attentionProjections,
    attentionScores: 3 * forward.attentionScores,
    router: 3 * forward.router,
    experts: 3 * forward.experts,
    feedForward: 3 * forward.feedForward,
    head: 3 * forward.head,
  });
  const tokens = tokensPerStep(plan);
  const perStep = withTotal({
    model: tokens * training.total,
    recompute: recompute ? tokens * (forward.total - forward.head) : 0,
    newtonSchulz: newtonSchulzFlops(plan),
  });
  return { perToken: { forward, training }, perStep };
}

/**
 * FLOPs of Muon's orthogonalisation in a step: per iteration and (m, n) matrix with m >= n, X X^T (n^2 m), G^2 (n^3) and
 * G X (n^2 m), twice each. Symmetry, which can save half of the first two, is not counted.
 */
function newtonSchulzFlops(plan: Plan): number {
  const iterations = plan.optimizer.muon.newtonSchulzSteps;
  const perMatrix = (rows: number, cols: number) => {
    const [m, n] = [Math.max(rows, cols), Math.min(rows, cols)];
    return iterations * 2 * (n * n * m + n ** 3 + n * n * m);
  };
  return sum(
    plan.banks.flatMap(parts)
      .filter((part) => part.optimizer === "muon")
      .map(({ matrices }) => matrices ? matrices.count * perMatrix(matrices.rows, matrices.cols) : 0),
  );
}

/** Bytes moved between memory and the cores, if each buffer were read or written in whole whenever it is used. */
export interface Traffic {
  /** Per token of a step. */
  perToken: {
    /** Parameters read by the forward and backward passes and gradients added to, all experts of a site at work. */
    weights: number;
    /** Saved activations, written once and read once. */
    activations: number;
    /** Parameters, gradients and moments at the update. */
    optimizer: number;
    /** Sum of the above. */
    total: number;
  };
  /** Gradients that a data-parallel step all-reduces: each bank once. */
  allReducePerStep: number;
}

/** Counts the bytes that a plan moves; `savedPerMicroStep` is what the backward pass reads, in bytes. */
export function countTraffic(plan: Plan, savedPerMicroStep: number): Traffic {
  const microStep = plan.train.batch * plan.train.seqLen;
  // Forward, input gradient, and read and write of the weight gradient; once more to recompute.
  const passes = plan.train.recompute ? 5 : 4;
  const used = overSites(plan, ({ moe, ...site }) => {
    return sum([...Object.values(site), moe?.router, moe?.experts].map((bank) => bank ? bankElements(bank) : 0));
  });
  const head = bankElements(
    plan.model.head === plan.model.embedding
      ? bankOf(plan, plan.model.head, "embedding")
      : bankOf(plan, plan.model.head, "head"),
  );
  // Read weight, gradient and moments, write weight and moments, clear the gradient.
  const touches = { muon: 6, adamw: 8 };
  const updated = sum(plan.banks.flatMap(parts).map((part) => touches[part.optimizer] * elements(part)));
  const perToken = withTotal({
    weights: F32 * (passes * used + 4 * head) / microStep,
    activations: 2 * savedPerMicroStep / microStep,
    optimizer: F32 * updated / tokensPerStep(plan),
  });
  return { perToken, allReducePerStep: F32 * countParameters(plan).total };
}

/** How long a plan runs at a given speed, evaluation and checkpoints not counted. */
export interface TimeEstimate {
  /** The speed assumed, in 10^9 FLOPs per second. */
  gflops: number;
  /** Seconds of one optimizer step. */
  stepSeconds: number;
  /** Tokens per second. */
  tokensPerSecond: number;
  /** Seconds of all steps. */
  runSeconds: number;
}

/** The time that a plan takes on a machine that sustains `gflops` (10^9 FLOPs per second). */
export function estimateTime(plan: Plan, gflops: number): TimeEstimate {
  const stepSeconds = countFlops(plan).perStep.total / (gflops * 1e9);
  return {
    gflops,
    stepSeconds,
    tokensPerSecond: tokensPerStep(plan) / stepSeconds,
    runSeconds: stepSeconds * plan.train.steps,
  };
}

/** Tokens of one optimizer step. */
export function tokensPerStep({ train }: Plan): number {
  return train.batch * train.accumulation * train.seqLen;
}

function overSites(plan: Plan, count: (site: SiteBanks) => number): number {
  return sum(siteBanks(plan).map(count));
}

function withTotal<T extends Record<string, number>>(terms: T): T & { total: number } {
  return { ...terms, total: sum(Object.values(terms)) };
}
