/** Tasks of the evaluation: those that there are, and those of a user. */
export { type LoadedTask, loadTasks } from "./load.ts";
export { STUDY_TASKS, TASKS } from "./registry.ts";
export {
  CHOICE_METRICS,
  type ChoiceTask,
  type ClozeTask,
  type CommonTask,
  type Dataset,
  type Path,
  type Splits,
  type Task,
  TaskError,
  type Template,
  type TextTask,
} from "./task.ts";
