/** The tasks that there are. */
import { arcChallenge } from "./arc_challenge.ts";
import { arcEasy } from "./arc_easy.ts";
import { hellaswag } from "./hellaswag.ts";
import { lambadaOpenai } from "./lambada_openai.ts";
import { openbookqa } from "./openbookqa.ts";
import { piqa } from "./piqa.ts";
import { sciq } from "./sciq.ts";
import type { Task } from "./task.ts";
import { winogrande } from "./winogrande.ts";

/** All tasks. */
export const TASKS: readonly Task[] = [
  arcEasy,
  arcChallenge,
  hellaswag,
  piqa,
  winogrande,
  openbookqa,
  sciq,
  lambadaOpenai,
];

/** The six of the Expert Tying study, whose accuracies it averages. */
export const STUDY_TASKS: readonly Task[] = [arcEasy, arcChallenge, hellaswag, piqa, winogrande, openbookqa];
