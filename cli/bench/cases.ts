/** The cases by name, with the losses they must reproduce. */
import { manifest, type ManifestInput, type Plan, preset, resolve } from "../../experiments/mod.ts";

/** Whole training steps, on the same random tokens each time, so that every step is the same work. */
export interface StepsCase {
  readonly kind: "steps";
  readonly name: string;
  readonly plan: Plan;
  /** Steps before the first that is timed. */
  readonly warmUpSteps: number;
  /** Steps timed at least in a round, however long they take. */
  readonly minSteps: number;
  /** Loss of the first timed step. */
  readonly goldenLoss: number;
}

/** Text to tokens, and tokens to batches, on the quick start's data. */
export interface LoaderCase {
  readonly kind: "loader";
  readonly name: string;
  readonly plan: Plan;
  /** Held-out loss of the bigram counted on the tokens. */
  readonly goldenLoss: number;
}

/** Text from an untrained model, token by token, on one thread. */
export interface GenerateCase {
  readonly kind: "generate";
  readonly name: string;
  readonly plan: Plan;
  /** Held-out loss of the model on one batch. */
  readonly goldenLoss: number;
  /** What the text continues; chosen such that no token of it ends inside a character. */
  readonly prompt: string;
  /** Tokens of a text. */
  readonly tokens: number;
}

/** A stream of one source that a run would train on, with one thread that tokenises. */
export interface StreamCase {
  readonly kind: "stream";
  readonly name: string;
  /** The quick start's texts as JSON lines, or as shards of their tokens. */
  readonly from: "text" | "shards";
}

/** The table of operations at the sizes of a model. */
export interface OpsCase {
  readonly kind: "ops";
  readonly name: string;
  /** One that `ffi/benches/speed/sizes.rs` knows. */
  readonly model: string;
}

/** What can be measured. */
export type BenchCase = StepsCase | LoaderCase | StreamCase | GenerateCase | OpsCase;

/** So long a schedule that no run reaches its end, at the full rate from the start: the golden losses show every update. */
const SCHEDULE = { steps: 100_000, warmupSteps: 1 };

function planOf(input: ManifestInput, groupSize?: number, train: Partial<ManifestInput["train"]> = {}): Plan {
  return resolve(manifest({
    ...input,
    tie: { ...input.tie, ...(groupSize !== undefined && { groupSize }) },
    train: { ...input.train, ...SCHEDULE, ...train },
    data: nano.data!, // texts that every user has
  }));
}

const nano = preset("nano");
const nanoSteps = { kind: "steps", warmUpSteps: 2, minSteps: 3 } as const;
const tiny = preset("olmoe-tiny");
// With what it takes to stay within 4.2 GB.
const tinySize = { batch: 2, accumulation: 1, seqLen: 512, recompute: "experts" } as const;
// A step takes seconds: one shows that buffers are in memory, and rounds show a median.
const tinySteps = { kind: "steps", warmUpSteps: 1, minSteps: 1 } as const;

/** Every case, quick ones first. */
export const cases: readonly BenchCase[] = [
  { ...nanoSteps, name: "nano", plan: planOf(nano), goldenLoss: 7.368062969537044 },
  { ...nanoSteps, name: "nano-untied", plan: planOf(nano, 1), goldenLoss: 7.367691816836566 },
  { kind: "loader", name: "loader", plan: planOf(nano), goldenLoss: 4.635066861669895 },
  { kind: "stream", name: "stream-text-cl100k", from: "text" },
  { kind: "stream", name: "stream-shards", from: "shards" },
  { kind: "generate", name: "generate", plan: planOf(nano), goldenLoss: 7.624233468435705, prompt: "I", tokens: 256 },
  { ...tinySteps, name: "olmoe-tiny-g4", plan: planOf(tiny, 4, tinySize), goldenLoss: 11.60919801925944 },
  { ...tinySteps, name: "olmoe-tiny-g1", plan: planOf(tiny, 1, tinySize), goldenLoss: 11.606824125274434 },
  ...["nano", "olmoe-tiny", "qwen3-tiny"].map((model) => ({ kind: "ops", name: `ops-${model}`, model }) as const),
];
