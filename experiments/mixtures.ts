/**
 * Published mixtures by name (arXiv 2606.16825): three quarters DCLM-edu, one quarter FinePhrase. FinePhrase has two texts
 * in a row: the original page in `.text`, which the published trainer reads, and the rewritten ones, of which a row has any
 * number.
 */
import type { ManifestInput, Source } from "./manifest.ts";

const dclmEdu: Source = {
  name: "dclm-edu",
  paths: ["hf://datasets/HuggingFaceTB/dclm-edu/data/*.parquet"],
  column: ".text",
  format: "parquet",
  weight: 75,
};

const finephrase = (column: string): Source => ({
  name: "finephrase",
  paths: ["hf://datasets/HuggingFaceFW/finephrase/**/*.parquet"],
  column,
  format: "parquet",
  weight: 25,
});

/** Sources of each mixture. */
export const MIXTURES: Readonly<Record<string, readonly Source[]>> = {
  /** With the column that the published trainer reads. */
  "dclm-edu+finephrase": [dclmEdu, finephrase(".text")],
  /** With the rewrites that the data set is named for. */
  "dclm-edu+finephrase-rewritten": [dclmEdu, finephrase("rollout_results.list.element.text")],
};

/**
 * The data of the published runs, which are read from the Hugging Face hub. What they evaluate on is trained on, too,
 * by a run that gets that far; `data.heldOut` of kind "documents" keeps it apart.
 */
export const PUBLISHED_DATA: NonNullable<ManifestInput["data"]> = {
  sources: "dclm-edu+finephrase",
  tokenizer: { kind: "cl100k" },
  heldOut: { kind: "skip-tokens", tokens: 10_000_000 },
};
