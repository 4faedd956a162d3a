/** LAMBADA: the last word of a passage that can be guessed from the whole of it, but not from the last sentence. */
import { text } from "../harness/columns.ts";
import type { ClozeTask } from "./task.ts";

/** The task `lambada_openai`. */
export const lambadaOpenai: ClozeTask = {
  name: "lambada_openai",
  kind: "cloze",
  dataset: { path: "EleutherAI/lambada_openai", config: "default" },
  splits: { test: "test" },
  prompt: (row) => text(row, "text").split(" ").slice(0, -1).join(" "),
  target: (row) => ` ${text(row, "text").split(" ").at(-1)}`,
};
