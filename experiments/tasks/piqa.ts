/** PIQA: which of two ways reaches a goal in the physical world. */
import type { ChoiceTask } from "./task.ts";

/** The task `piqa`. */
export const piqa: ChoiceTask = {
  name: "piqa",
  kind: "multiple-choice",
  dataset: { path: "baber/piqa", config: null },
  splits: { train: "train", validation: "validation" },
  prompt: "Question: {goal}\nAnswer:",
  choices: ["{sol1}", "{sol2}"],
  gold: "label",
  metrics: ["acc", "acc_norm"],
};
