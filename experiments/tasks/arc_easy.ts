/** ARC, the easy questions: grade-school science. */
import type { ChoiceTask } from "./task.ts";

/** The task `arc_easy`. */
export const arcEasy: ChoiceTask = {
  name: "arc_easy",
  kind: "multiple-choice",
  dataset: { path: "allenai/ai2_arc", config: "ARC-Easy" },
  splits: { train: "train", validation: "validation", test: "test" },
  prompt: "Question: {question}\nAnswer:",
  choices: "choices.text",
  gold: { find: "answerKey", in: "choices.label" },
  metrics: ["acc", "acc_norm"],
};
