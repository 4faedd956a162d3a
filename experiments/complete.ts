/** From a short manifest to a complete, checked one: defaults, then the schema, then the rules between keys. */
import type * as z from "zod";
import { type ManifestError, unknownKey, unusable } from "./errors.ts";
import type { Manifest, ManifestInput } from "./manifest.ts";
import { MIXTURES } from "./mixtures.ts";
import { rules } from "./rules.ts";
import { manifestKeys, manifestSchema } from "./schema.ts";

const OLMOE = {
  qkNorm: "whole",
  clamp: 8,
  router: { score: "softmax-then-top-k", renormalize: false },
  eps: 1e-5,
} as const;

/** What each family gives. The published "DeepSeekMoE" arm is OLMoE with another K, hence deepseek-style. */
const FAMILIES: Record<string, Partial<Manifest["model"]>> = {
  "olmoe": OLMOE,
  "deepseek-style": OLMOE,
  "qwen3": { qkNorm: "head", clamp: null, router: { score: "softmax-then-top-k", renormalize: true }, eps: 1e-6 },
  "mixtral": { qkNorm: "none", clamp: null, router: { score: "softmax-then-top-k", renormalize: true }, eps: 1e-5 },
  "vanilla": {
    qkNorm: "head",
    clamp: null,
    router: { score: "top-k-then-softmax", renormalize: false },
    eps: 1e-6,
    tiedHead: true,
  },
};

/** Published peak learning rates (arXiv 2606.16825). */
const LEARNING_RATES: Record<string, number> = { muon: 0.02, adamw: 3e-4 };

/** Published numbers where there are such; data, checkpoints and evaluation are this project's choice. */
const DEFAULTS = {
  model: {
    denseLayers: [],
    denseWidth: null,
    ropeTheta: 10_000,
    maxSeqLen: 4096,
    paddingToken: null,
    tiedHead: false,
  },
  tie: {
    groupSize: 1,
    skipFirst: 2,
    skipLast: 2,
    expand: null,
    loops: null,
    share: ["experts"],
    partitions: { attentionNorm: null, attention: null, ffnNorm: null, router: null, experts: null, feedForward: null },
    adapterRank: null,
  },
  losses: { balance: { coefficient: 0.01, counts: "top-k" }, z: { coefficient: 1e-4 }, maskLastTarget: false },
  optimizer: {
    kind: "muon",
    muon: { momentum: 0.95, weightDecay: 0.1, newtonSchulzSteps: 5, slices: "fused" },
    adamw: { lrRatio: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01 },
    clipNorm: 1,
  },
  train: {
    accumulation: 1,
    warmupSteps: 100,
    finalFraction: 0.1,
    tiedLrDivisor: "sqrt",
    divisorScope: "shared-banks",
    recompute: false,
    seed: 42,
  },
  data: {
    corpus: null,
    files: [],
    sources: [],
    separator: "<|endoftext|>",
    separatorPlacement: "before",
    minCharacters: 50,
    heldOut: { kind: "tail", fraction: 0.01 },
    order: "shuffled-windows",
    shuffleBuffer: 10_000,
    atEnd: "repeat",
    onBadRecord: "stop",
  },
  checkpoint: { every: 500, keep: 3 },
  eval: { every: 500, batches: null },
  collapse: { expertShare: 0.9, deadExperts: 1, steps: 50 },
};

/** Unions taken whole: half of one member and half of another is no member. */
const WHOLE = new Set(["tokenizer", "heldOut"]);

/**
 * Fills in every default and checks the result. A complete manifest comes back unchanged. Files export the short form,
 * so that what follows from a key (head width from width and heads, eps from the family) follows a change of that key.
 *
 * @throws {ManifestError} that names the key, what it is and what was wanted: an unknown, missing or mistyped key, or a
 * value that does not fit another one.
 */
export function manifest(input: ManifestInput): Manifest {
  const merged = withSources(merge(merge(DEFAULTS, derived(input)), input));
  const result = manifestSchema.safeParse(merged, { reportInput: true });
  if (!result.success) throw explain(result.error.issues);
  for (const { path, is, wanted, fits } of rules(result.data)) if (!fits) throw unusable(path, is, wanted);
  return result.data;
}

/** Defaults that follow from other keys. Reads unchecked input: what is not as expected is left to the schema. */
function derived(input: unknown): unknown {
  const at = (section: string, key: string) => section in Object(input) && Object(Object(input)[section])[key];
  const [width, heads] = [at("model", "width"), at("model", "heads")];
  const canDivide = Number.isSafeInteger(width) && Number.isSafeInteger(heads) && width > 0 && heads > 0;
  if (canDivide && width % heads !== 0 && !at("model", "headDim")) {
    throw unusable("model.heads", heads, `a divisor of model.width (${width}), or model.headDim given`);
  }
  return {
    model: {
      ...FAMILIES[at("model", "family")],
      ...(heads && { kvHeads: heads }),
      ...(canDivide && { headDim: width / heads }),
    },
    // Loops say for every site whether it is in a group: no site is skipped beside them.
    ...(at("tie", "loops") && { tie: { skipFirst: 0, skipLast: 0 } }),
    train: { lr: LEARNING_RATES[at("optimizer", "kind") || "muon"] },
    data: {
      tokenizer: { kind: "train-bpe", vocab: at("model", "vocab") },
      ...(isStreamed(at("data", "sources")) && STREAMED.data),
    },
    ...(isStreamed(at("data", "sources")) && { eval: STREAMED.eval }),
  };
}

/** What differs where data is streamed: its end is not known, and evaluation must end. */
const STREAMED = {
  data: { order: "stream", heldOut: { kind: "documents", every: 100, index: 0 } },
  eval: { batches: 50 },
};

function isStreamed(sources: unknown): boolean {
  return typeof sources === "string" || (Array.isArray(sources) && sources.length > 0);
}

/** Puts the sources of a named mixture in the place of its name, and completes those that are spelled out. */
function withSources(merged: unknown): unknown {
  if (!isRecord(merged) || !isRecord(merged["data"])) return merged;
  const { sources } = merged["data"];
  const found = typeof sources === "string" && Object.hasOwn(MIXTURES, sources) ? MIXTURES[sources] : sources;
  const complete = Array.isArray(found) ? found.map((source) => merge(SOURCE, source)) : found;
  return { ...merged, data: { ...merged["data"], sources: complete } };
}

/** Defaults of a source. */
const SOURCE = { column: null, format: "auto", weight: 1 };

/** `over` upon `base`, key by key. */
function merge(base: unknown, over: unknown): unknown {
  if (over === undefined) return base;
  if (!isRecord(base) || !isRecord(over)) return over;
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    merged[key] = WHOLE.has(key) ? value ?? base[key] : merge(base[key], value);
  }
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The first issue as an error; an unknown key first, since a mistyped key is also a missing one. */
function explain(issues: readonly z.core.$ZodIssue[]): ManifestError {
  const issue = issues.find((i) => i.code === "unrecognized_keys") ?? issues[0]!;
  const path = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    return unknownKey(path === "" ? issue.keys[0]! : `${path}.${issue.keys[0]}`, manifestKeys().map((k) => k.path));
  }
  const at = path === "" ? "the manifest" : path;
  const choices = issue.code === "invalid_value" ? issue.values : "options" in issue ? issue.options : undefined;
  if (choices) return unusable(at, issue.input, choices.map((choice) => JSON.stringify(choice)).join(", "));
  if (issue.code === "invalid_type" && issue.expected === "object") return unusable(at, issue.input, "an object");
  return unusable(at, issue.input, issue.message);
}
