/** SciQ: questions of science exams, with a text that supports the answer. The right choice is always the last. */
import { text } from "../harness/columns.ts";
import { lstrip } from "../harness/python.ts";
import type { ChoiceTask } from "./task.ts";

/** The task `sciq`. */
export const sciq: ChoiceTask = {
  name: "sciq",
  kind: "multiple-choice",
  dataset: { path: "allenai/sciq", config: null },
  splits: { train: "train", validation: "validation", test: "test" },
  prompt: (row) => `${lstrip(text(row, "support"))}\nQuestion: ${text(row, "question")}\nAnswer:`,
  choices: ["{distractor1}", "{distractor2}", "{distractor3}", "{correct_answer}"],
  gold: 3,
  metrics: ["acc", "acc_norm"],
};
