/**
 * The component ablation of the Expert Tying study (arXiv 2606.16825): a vanilla transformer of 32 sites, and what its
 * sites share. A variant is a topology (which layers are looped) and a mode (what the uses of a looped layer share).
 */
import type { ManifestInput, SitePart } from "./manifest.ts";
import { PUBLISHED_DATA } from "./mixtures.ts";

/** Sizes and length of a training run of one configuration. */
interface Config {
  vocab: number;
  width: number;
  heads: number;
  expertWidth: number;
  experts: number;
  topK: number;
  seqLen: number;
  batch: number;
  accumulation: number;
  /** The untied baseline's micro-batch, of as many windows in all. */
  baseline?: { batch: number; accumulation: number };
  steps: number;
  warmupSteps: number;
  /** Of the adapters of mode `lora`. */
  rank: number;
  /** What else differs from the defaults. */
  others?: Pick<ManifestInput, "data" | "checkpoint" | "eval">;
}

/** What the published runs have in common. The vocabulary is cl100k_base's. */
const PUBLISHED = { vocab: 100_277, steps: 10_000, others: { data: PUBLISHED_DATA } };

const small = {
  ...PUBLISHED,
  width: 512,
  heads: 8,
  seqLen: 512,
  batch: 64,
  accumulation: 4,
  baseline: { batch: 32, accumulation: 8 },
  warmupSteps: 50,
  rank: 32,
};

const large = {
  ...PUBLISHED,
  width: 2048,
  heads: 16,
  seqLen: 1024,
  batch: 8,
  accumulation: 8,
  baseline: { batch: 1, accumulation: 64 },
  warmupSteps: 100,
  rank: 64,
};

/** A size for two CPU cores and a few minutes a run, on the quick start's text. */
const nano = {
  vocab: 2048,
  width: 64,
  heads: 2,
  seqLen: 128,
  batch: 8,
  accumulation: 1,
  steps: 768,
  warmupSteps: 40,
  rank: 8,
  others: {
    data: { corpus: "sotu", heldOut: { kind: "documents", every: 20, index: 7 } },
    checkpoint: { every: 128, keep: 1 },
    eval: { every: 768 },
  } satisfies Config["others"],
};

/** Configurations by name: those published, and `nano`. */
export const CONFIGS: Readonly<Record<string, Config>> = {
  "tiny": {
    ...PUBLISHED,
    width: 256,
    heads: 4,
    expertWidth: 128,
    experts: 16,
    topK: 8,
    seqLen: 256,
    batch: 128,
    accumulation: 1,
    baseline: { batch: 64, accumulation: 2 },
    steps: 2000,
    warmupSteps: 50,
    rank: 16,
  },
  "small": { ...small, expertWidth: 256, experts: 32, topK: 8 },
  "small-coarse": { ...small, expertWidth: 1024, experts: 8, topK: 2 },
  "small-dense": { ...small, expertWidth: 2048, experts: 1, topK: 1 },
  "2b": { ...large, expertWidth: 1376, experts: 32, topK: 8 },
  "2b-coarse": { ...large, expertWidth: 5504, experts: 8, topK: 2 },
  "2b-dense": { ...large, expertWidth: 11_008, experts: 1, topK: 1 },
  "nano": { ...nano, expertWidth: 64, experts: 8, topK: 2 },
  "nano-dense": { ...nano, expertWidth: 128, experts: 1, topK: 1 },
};

/** Number of sites of every variant. */
const DEPTH = 32;

type Loops = [layers: number, loops: number][];

/** Two layers at each end stand apart, the rest is looped. */
const between = (middle: Loops): Loops => [[2, 1], ...middle, [2, 1]];
const repeat = (times: number, block: Loops[number]): Loops => Array.from({ length: times }, () => block);

/** Topologies by name: blocks of layers and how often each is applied in a row. */
export const TOPOLOGIES: Readonly<Record<string, Loops>> = {
  baseline: [[DEPTH, 1]],
  moeut: [[2, 16]],
  onegroup: between([[2, 14]]),
  twogroup: between(repeat(2, [2, 7])),
  threegroup: between([[2, 5], [2, 4], [2, 5]]),
  fourgroups1: between(repeat(4, [1, 7])),
  sevengroups1: between(repeat(7, [1, 4])),
};

/** Modes by name: the parts that the uses of a looped layer share. `attnonly` is none of the published ones. */
export const MODES: Readonly<Record<string, readonly SitePart[]>> = {
  alltie: ["attention", "router", "experts"],
  attntie: ["attention", "experts"],
  lora: ["attention", "experts"],
  experttie: ["experts"],
  attnonly: ["attention"],
};

/** Of dense models, whose single expert needs no router. */
const DENSE_MODES: typeof MODES = { alltie: MODES["alltie"]!, ffnonly: ["router", "experts"] };

/** Names of the published variants of a configuration: 24, or 7 of a dense one. */
export function variants(config: string): string[] {
  const named = (topologies: readonly string[], modes: readonly string[]) =>
    topologies.flatMap((topology) => modes.map((mode) => `${topology}_${DEPTH}_${mode}`));
  if (isDense(config)) {
    const looped = named(["twogroup", "fourgroups1", "sevengroups1"], Object.keys(DENSE_MODES));
    return [`baseline_${DEPTH}`, ...looped].map((variant) => `dense_${variant}`);
  }
  const modes = ["alltie", "attntie", "lora", "experttie"];
  const looped = Object.keys(TOPOLOGIES).filter((name) => name !== "baseline" && name !== "moeut");
  return [`baseline_${DEPTH}`, ...named(["moeut"], modes.slice(0, 3)), ...named(looped, modes)];
}

/** A name taken apart. */
export interface AblationName {
  config: string;
  /** With its depth and mode, as in `twogroup_32_alltie`. */
  variant: string;
  topology: string;
  /** Null of a baseline. */
  mode: string | null;
  divisor: "none" | "sqrt" | "linear";
  seed: number | null;
}

const NAME =
  /^ablation\/(?<config>[^/]+)\/(?<variant>(?<dense>dense_)?(?<topology>[a-z0-9]+)_32(_(?<mode>[a-z]+))?)(-(?<divisor>none|linear))?(\/seed-(?<seed>\d{1,9}))?$/;

/** Takes `ablation/<config>/<variant>[-none|-linear][/seed-N]` apart; nothing if there is no such experiment. */
export function parseAblation(name: string): AblationName | undefined {
  const { config, variant, dense, topology, mode, divisor, seed } = NAME.exec(name)?.groups ?? {};
  if (!config || !variant || !topology || !Object.hasOwn(CONFIGS, config) || !Object.hasOwn(TOPOLOGIES, topology)) {
    return;
  }
  const modes = isDense(config) ? DENSE_MODES : MODES;
  const isComplete = topology === "baseline" ? mode === undefined : mode !== undefined && Object.hasOwn(modes, mode);
  if (!isComplete || isDense(config) !== Boolean(dense)) return;
  return {
    config,
    variant,
    topology,
    mode: mode ?? null,
    divisor: divisor === "none" || divisor === "linear" ? divisor : "sqrt",
    seed: seed === undefined ? null : Number(seed),
  };
}

/** The experiment of a name, if there is one. */
export function ablation(name: string): ManifestInput | undefined {
  const parsed = parseAblation(name);
  if (!parsed) return;
  const { topology, mode, divisor, seed } = parsed;
  const { width, vocab, heads, expertWidth, experts, topK, seqLen, steps, warmupSteps, rank, others, ...batches } =
    CONFIGS[parsed.config]!;
  const isMoe = experts > 1;
  const { batch, accumulation } = isMoe && topology === "baseline" && batches.baseline || batches;
  return {
    name,
    model: { family: "vanilla", vocab, width, layers: DEPTH, heads, experts, topK, expertWidth },
    tie: {
      loops: TOPOLOGIES[topology]!,
      ...(mode && { share: [...(isMoe ? MODES : DENSE_MODES)[mode]!] }),
      adapterRank: mode === "lora" ? rank : null,
    },
    losses: {
      balance: { coefficient: isMoe ? 0.01 : 0, counts: "argmax" },
      z: { coefficient: isMoe ? 1e-4 : 0 },
    },
    optimizer: { muon: { slices: "split" }, adamw: { weightDecay: 0 } },
    train: {
      steps,
      batch,
      accumulation,
      seqLen,
      warmupSteps,
      tiedLrDivisor: divisor,
      divisorScope: "loop-group",
      ...(seed !== null && { seed }),
    },
    ...others,
  };
}

/** Names of all published ablation experiments, and of the attention-only arms. */
export function ablationNames(): string[] {
  return Object.keys(CONFIGS).flatMap((config) => {
    const looped = Object.keys(TOPOLOGIES).filter((topology) => topology !== "baseline");
    const extra = isDense(config) ? [] : looped.map((topology) => `${topology}_${DEPTH}_attnonly`);
    return [...variants(config), ...extra].map((variant) => `ablation/${config}/${variant}`);
  });
}

function isDense(config: string): boolean {
  return CONFIGS[config]?.experts === 1;
}
