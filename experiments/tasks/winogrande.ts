/** WinoGrande: to whom a pronoun refers. What follows the gap is scored after each of the two names. */
import { text } from "../harness/columns.ts";
import { type Row, strip } from "../harness/python.ts";
import { type ChoiceTask, TaskError } from "./task.ts";

/** The task `winogrande`. */
export const winogrande: ChoiceTask = {
  name: "winogrande",
  kind: "multiple-choice",
  dataset: { path: "allenai/winogrande", config: "winogrande_xl" },
  splits: { train: "train", validation: "validation" },
  prompt: (row) => {
    const [start] = aroundGap(row);
    return [start + text(row, "option1"), start + text(row, "option2")];
  },
  choices: (row) => {
    const rest = strip(aroundGap(row)[1]);
    return [rest, rest];
  },
  gold: (row) => ["1", "2"].indexOf(text(row, "answer")),
  metrics: ["acc"],
};

function aroundGap(row: Row): [string, string] {
  const sentence = text(row, "sentence");
  const gap = sentence.indexOf("_");
  if (gap === -1) throw new TaskError("its sentence has no gap _");
  return [sentence.slice(0, gap), sentence.slice(gap + 1)];
}
