/** WinoGrande: to whom a pronoun refers. What follows the gap is scored after each of the two names. */
import { type Row, strip } from "../../eval/python.ts";
import { type ChoiceTask, TaskError } from "./task.ts";

/** The task `winogrande`. */
export const winogrande: ChoiceTask = {
  name: "winogrande",
  kind: "multiple-choice",
  dataset: { path: "allenai/winogrande", config: "winogrande_xl" },
  splits: { train: "train", validation: "validation" },
  prompt: (row) => {
    const [start] = aroundGap(row);
    return [`${start}${row.option1}`, `${start}${row.option2}`];
  },
  choices: (row) => {
    const rest = strip(aroundGap(row)[1]);
    return [rest, rest];
  },
  gold: ({ answer }) => ["1", "2"].indexOf(String(answer)),
  metrics: ["acc"],
};

function aroundGap({ sentence }: Row): [string, string] {
  const text = String(sentence);
  const gap = text.indexOf("_");
  if (gap === -1) throw new TaskError("its sentence has no gap _");
  return [text.slice(0, gap), text.slice(gap + 1)];
}
