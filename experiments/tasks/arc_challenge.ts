/** ARC, the questions that retrieval and word statistics answer wrongly. */
import { arcEasy } from "./arc_easy.ts";
import type { ChoiceTask } from "./task.ts";

/** The task `arc_challenge`. */
export const arcChallenge: ChoiceTask = {
  ...arcEasy,
  name: "arc_challenge",
  dataset: { path: "allenai/ai2_arc", config: "ARC-Challenge" },
};
