/** What an evaluation task is: where its rows are, and how a row becomes a question. */
import type { Row } from "../harness/python.ts";

/** Rows as published on the Hugging Face hub. */
export interface Dataset {
  /** `<owner>/<name>`. */
  readonly path: string;
  /** Its configuration; null for the only one. */
  readonly config: string | null;
}

/** Names of the splits. Evaluated is the test split, else the validation split; shots are of the first that there is. */
export interface Splits {
  /** For examples. */
  readonly train?: string;
  /** Evaluated where there is no test split. */
  readonly validation?: string;
  /** Evaluated. */
  readonly test?: string;
}

/** A text with columns in braces: `"Question: {question}\nAnswer:"`. */
export type Template = string;

/** The path of a column, by points: `choices.text`. */
export type Path = string;

/** Metrics of questions with choices. Normalised by code points (`acc_norm`) or by UTF-8 bytes (`acc_bytes`). */
export const CHOICE_METRICS = ["acc", "acc_norm", "acc_bytes"] as const;

/** What all tasks have. */
export interface CommonTask {
  /** As `--tasks` has it. */
  readonly name: string;
  /** Where the rows are when no folder is given; null: only in a folder. */
  readonly dataset: Dataset | null;
  /** Which splits of rows it has. */
  readonly splits: Splits;
  /** Changes rows before anything else is done with them. */
  readonly prepare?: (row: Row) => Row;
}

/** One of several continuations is right: the one that the model finds likeliest is its answer. */
export interface ChoiceTask extends CommonTask {
  /** How it is scored. */
  readonly kind: "multiple-choice";
  /** What stands before the choice: one text, or one for each choice. */
  readonly prompt: Template | ((row: Row) => string | readonly string[]);
  /** The column of the choices, or a template or a function for each. */
  readonly choices: Path | readonly Template[] | ((row: Row) => readonly string[]);
  /** The right one: its number, the column of its number, or where its label stands in the column of labels. */
  readonly gold: number | Path | { readonly find: Path; readonly in: Path } | ((row: Row) => number);
  /** What is reported. */
  readonly metrics: readonly (typeof CHOICE_METRICS[number])[];
}

/** A text whose last part is to be foretold: perplexity, and accuracy of greedy decoding. */
export interface ClozeTask extends CommonTask {
  /** How it is scored. */
  readonly kind: "cloze";
  /** What stands before the target. */
  readonly prompt: Template | ((row: Row) => string);
  /** With the space that it begins with. */
  readonly target: Template | ((row: Row) => string);
}

/** Perplexity of whole texts, by windows of the model's length. */
export interface TextTask extends CommonTask {
  /** How it is scored. */
  readonly kind: "text";
  /** The text of a row. */
  readonly text: Template;
}

/** A task. */
export type Task = ChoiceTask | ClozeTask | TextTask;

/** A mistake in a task, in its rows or in how it is named; the program ends with 2. */
export class TaskError extends Error {
  override readonly name = "TaskError";
  /** Process exit code of a program that ends with this error. */
  readonly exitCode = 2;
}
