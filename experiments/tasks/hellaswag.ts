/** HellaSwag: how a description of everyday life goes on. */
import { capitalize, type Row, strip } from "../../eval/python.ts";
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
  const { ctx_a: start, ctx_b: end, activity_label: label, endings } = row;
  const context = `${start} ${capitalize(String(end))}`;
  return {
    ...row,
    query: clean(`${label}: ${context}`),
    choices: Array.isArray(endings) ? endings.map((ending) => clean(String(ending))) : [],
    gold: Number(row.label),
  };
}

/** Takes out what is left of the pages' markup. */
function clean(text: string): string {
  return strip(text).replaceAll(" [title]", ". ").replaceAll(/\[[^\n]*?\]/g, "").replaceAll("  ", " ");
}
