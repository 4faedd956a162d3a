/**
 * The manifest: pure data that says what to run. These are its types; what each key means stands in schema.ts, where help
 * and errors get it from.
 */

/** Architectures whose options are known. */
export type Family = "olmoe" | "qwen3" | "mixtral" | "deepseek-style" | "vanilla";

/**
 * What a site is made of, in the order it computes: router and experts, or a dense feed-forward. Sites that share a part
 * use one bank of it.
 */
export const SITE_PARTS = ["attentionNorm", "attention", "ffnNorm", "router", "experts", "feedForward"] as const;

/** A part of a site. */
export type SitePart = typeof SITE_PARTS[number];

/** What the backward pass computes again instead of reading it: nothing, the experts' gate and up projections with their input, or sites. */
export type Recompute = false | "experts" | true;

/** Files of documents in one format, and their share of a mixture. */
export interface Source {
  /** What events and messages call it. */
  name: string;
  /** Files, folders, globs, `hf://` addresses. */
  paths: string[];
  /** Full path of the text's column; null: the column `text` where there are columns. */
  column: string | null;
  /** How files are read; `auto`: by their names. */
  format: "auto" | "text" | "jsonl" | "parquet" | "arrow" | "tokens-u16" | "tokens-u32";
  /** Share of the documents drawn, over the sum of all weights. */
  weight: number;
}

/** A complete manifest, as a run folder stores it: every key is present. */
export interface Manifest {
  /** Name of the experiment and of its run folder. */
  name: string;
  /** The architecture. */
  model: {
    family: Family;
    vocab: number;
    width: number;
    layers: number;
    heads: number;
    kvHeads: number;
    headDim: number;
    experts: number;
    topK: number;
    expertWidth: number;
    denseLayers: number[];
    denseWidth: number | null;
    qkNorm: "whole" | "head" | "none";
    clamp: number | null;
    router: { score: "softmax-then-top-k" | "top-k-then-softmax"; renormalize: boolean };
    eps: number;
    ropeTheta: number;
    maxSeqLen: number;
    paddingToken: number | null;
    tiedHead: boolean;
  };
  /** Which sites share what. */
  tie: {
    groupSize: number;
    skipFirst: number;
    skipLast: number;
    expand: number | null;
    loops: [layers: number, loops: number][] | null;
    share: SitePart[];
    partitions: Record<SitePart, number[][] | null>;
    adapterRank: number | null;
  };
  /** Losses beside the language-model loss. */
  losses: {
    balance: { coefficient: number; counts: "top-k" | "argmax" };
    z: { coefficient: number };
    maskLastTarget: boolean;
  };
  /** The optimizer. */
  optimizer: {
    kind: "muon" | "adamw";
    muon: { momentum: number; weightDecay: number; newtonSchulzSteps: number; slices: "fused" | "split" };
    adamw: { lrRatio: number; beta1: number; beta2: number; eps: number; weightDecay: number };
    clipNorm: number;
  };
  /** How long, how fast, on how much. */
  train: {
    steps: number;
    batch: number;
    accumulation: number;
    seqLen: number;
    lr: number;
    warmupSteps: number;
    finalFraction: number;
    tiedLrDivisor: "none" | "sqrt" | "linear" | number;
    divisorScope: "shared-banks" | "loop-group";
    recompute: Recompute;
    seed: number;
  };
  /** What to train on: a corpus, files, or sources. None is given where data comes from elsewhere. */
  data: {
    corpus: "sotu" | null;
    files: string[];
    sources: Source[];
    tokenizer:
      | { kind: "train-bpe"; vocab: number }
      | { kind: "file"; path: string }
      | { kind: "cl100k" }
      | { kind: "bytes" };
    separator: string;
    separatorPlacement: "before" | "after" | "none";
    minCharacters: number;
    heldOut:
      | { kind: "documents"; every: number; index: number }
      | { kind: "tail"; fraction: number }
      | { kind: "skip-tokens"; tokens: number };
    order: "shuffled-windows" | "stream";
    shuffleBuffer: number;
    atEnd: "repeat" | "drop" | "stop";
    onBadRecord: "stop" | "skip";
  };
  /** When checkpoints are saved, and how many are kept. */
  checkpoint: { every: number; keep: number };
  /** When the held-out set is evaluated, and how much of it. */
  eval: { every: number; batches: number | null };
  /** When a run warns that its routers collapse. */
  collapse: { expertShare: number; deadExperts: number; steps: number };
}

/** An object of which any key may be left out, at any depth. A union with a `kind` is given whole, never mixed. */
export type Partially<T> = T extends readonly unknown[] ? T
  : T extends { kind: "train-bpe" | "file" | "cl100k" | "bytes" | "documents" | "tail" | "skip-tokens" } ? T
  : T extends object ? { [K in keyof T]?: Partially<T[K]> | undefined }
  : T;

/** What an experiment file gives: the keys that have no default, and any others. */
export type ManifestInput =
  & Omit<Partially<Manifest>, "name" | "model" | "train" | "data">
  & {
    name: string;
    /** `sources` may be the name of a published mixture; a source needs a name and paths. */
    data?: Partially<Omit<Manifest["data"], "sources">> & {
      sources?: string | (Pick<Source, "name" | "paths"> & Partial<Source>)[];
    };
    model:
      & Partially<Manifest["model"]>
      & Pick<
        Manifest["model"],
        "family" | "vocab" | "width" | "layers" | "heads" | "experts" | "topK" | "expertWidth"
      >;
    train: Partially<Manifest["train"]> & Pick<Manifest["train"], "steps" | "batch" | "seqLen">;
  };
