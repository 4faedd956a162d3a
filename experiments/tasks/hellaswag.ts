/** HellaSwag: how a description of everyday life goes on. */
import { text, texts } from "../harness/columns.ts";
import { capitalize, type Row, strip } from "../harness/python.ts";
import type { ChoiceTask } from "./task.ts";

/** The task `hellaswag`. Rows that have been prepared already are taken as they are. */
export const hellaswag: ChoiceTask = {
  name: "hellaswag",
  kind: "multiple-choice",
  dataset: { path: "Rowan/hellaswag", config: null },
  splits: { train: "train", validation: "validation" },
  prepare: (row) => "query" in row ? row : prepared(row),
  prompt: "{query}",
  choices: "choices",
  gold: "gold",
  metrics: ["acc", "acc_norm"],
};

function prepared(row: Row): Row {
  const context = `${text(row, "ctx_a")} ${capitalize(text(row, "ctx_b"))}`;
  return {
    ...row,
    query: clean(`${text(row, "activity_label")}: ${context}`),
    choices: texts(row, "endings").map(clean),
    gold: Number(text(row, "label")),
  };
}

/** Takes out what is left of the pages' markup. */
function clean(markup: string): string {
  return strip(markup).replaceAll(" [title]", ". ").replaceAll(/\[[^\n]*?\]/g, "").replaceAll("  ", " ");
}
