/** OpenBookQA: elementary science that takes a known fact and common sense. */
import { lstrip } from "../harness/python.ts";
import { text, texts } from "../harness/columns.ts";
import type { ChoiceTask } from "./task.ts";

/** The task `openbookqa`. */
export const openbookqa: ChoiceTask = {
  name: "openbookqa",
  kind: "multiple-choice",
  dataset: { path: "allenai/openbookqa", config: "main" },
  splits: { train: "train", validation: "validation", test: "test" },
  prompt: "{question_stem}",
  choices: "choices.text",
  gold: (row) => texts(row, "choices.label").indexOf(lstrip(text(row, "answerKey"))),
  metrics: ["acc", "acc_norm"],
};
