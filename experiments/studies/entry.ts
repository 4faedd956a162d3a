/** What a study is made of: runs by the names of their presets, and what was published about them. */

/** A published result. */
export interface Published {
  /** Validation loss, or null where only other numbers are published. */
  loss: number | null;
  /** Number of parameters, rounded as published. */
  parameters?: number;
  /** Mean 3-shot accuracy, in percent. */
  accuracy?: number;
}

/** A run of a study. */
export interface StudyEntry {
  /** Name of the preset; the run's folder is called so too. */
  name: string;
  /** The study. */
  study: Study;
  /** The table it belongs to: a granularity or question of the ablation, a scale of the main experiments. */
  section: string;
  /** Family of the model, as presets name it. */
  architecture: string;
  /** What is tied and how; the same for all seeds. */
  variant: string;
  /** Name of the list of (layers, loops). */
  topology?: string;
  /** What the loops share. */
  mode?: string;
  /** By what the learning rate of a tied bank is divided, as a function of its uses. */
  divisor: "none" | "sqrt" | "linear";
  /** `train.seed`, where a study has several. */
  seed?: number;
  /** Name of the entry with which it is compared: the untied model of the same size (and seed). */
  baseline: string;
  /** The published result of this very variant, or null. */
  published: Published | null;
}

/** A published number that is a mean over several runs. It says nothing about any one of them. */
export interface PublishedMean {
  /** What the runs have in common. */
  label: string;
  /** Where it is shown. */
  section: string;
  /** Names of the entries, without seeds. */
  of: readonly string[];
  /** Mean validation loss. */
  loss?: number;
  /** Mean share of site pairs of a group with the same top-1 expert; published as "about". */
  agreement?: number;
}

/** The studies, in the order of lists. */
export const STUDIES = ["ablation", "main", "nano"] as const;

/** Name of a study. */
export type Study = typeof STUDIES[number];
