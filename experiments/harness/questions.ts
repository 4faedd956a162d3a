/** From rows to questions: few-shot examples, prompts and what is scored after them, as the harness assembles them. */
import { type ChoiceTask, type ClozeTask, type Splits, type Task, TaskError, type TextTask } from "../tasks/task.ts";
import { column, fill, texts } from "./columns.ts";
import { dumps, type Row } from "./python.ts";
import { PythonRandom } from "./random.ts";

/** Between an example's prompt and its answer, and between examples. */
const DELIMITERS = { target: " ", example: "\n\n" };

/** A context and its continuation. */
export type Request = readonly [context: string, continuation: string];

/** A row as it is asked. */
export interface Question {
  readonly row: Row;
  /** What is scored, a request for each choice; of a text, a context that is the text and no continuation. */
  readonly requests: readonly Request[];
  /** The choices without the space before them. */
  readonly choices: readonly string[];
  /** Number of the right choice. */
  readonly gold: number;
  /** The answer, as samples show it. */
  readonly target: string;
}

/** Rows, and where each is: a file and a number. */
export interface Rows {
  readonly rows: readonly Row[];
  readonly place: (index: number) => string;
}

/** How many examples, and how they are drawn. */
export interface Shots {
  readonly count: number;
  readonly seed: number;
}

/** The split that is evaluated, and the one that examples are of. */
export function splitsOf({ train, validation, test }: Splits): { evaluated: string; pool: string } {
  const evaluated = test ?? validation;
  if (evaluated === undefined) throw new TaskError("it has no split to evaluate, wanted a validation or a test split");
  return { evaluated, pool: train ?? validation ?? evaluated };
}

/**
 * The questions of the first `limit` rows, with examples from `pool`. One generator draws for row after row, so that a
 * limit does not change the examples of a question.
 *
 * @throws {TaskError} for a row that is no question of the task, with its place.
 */
export function questions(task: Task, evaluated: Rows, pool: Rows | null, shots: Shots, limit: number): Question[] {
  const ask = questionOf(task);
  const rows = evaluated.rows.slice(0, limit);
  const prepare = task.prepare ?? ((row: Row) => row);
  const plain = rows.map((row, i) => at(evaluated.place(i), () => ask(prepare(row))));
  if (shots.count === 0 || task.kind === "text" || pool === null) return plain.map((question) => question.of(""));
  // A pool of the evaluated split itself may draw the row that is asked: one more is drawn, and that row left out.
  const isSpare = task.splits.test === undefined;
  const drawn = shots.count + (isSpare ? 1 : 0);
  const require = (rows: number, count: number) => {
    if (rows >= count) return;
    throw new TaskError(`Cannot draw ${count} examples for ${task.name}: there are ${rows} rows, wanted fewer shots`);
  };
  require(pool.rows.length, drawn);
  const random = new PythonRandom(shots.seed);
  const known = new Map<number, Shot>();
  const shot = (index: number) => {
    const made = known.get(index) ?? at(pool.place(index), () => {
      const row = prepare(pool.rows[index]!);
      return { example: ask(row).example, text: dumps(row) };
    });
    known.set(index, made);
    return made;
  };
  return plain.map((question) => {
    let examples = random.sample(pool.rows.length, drawn).map(shot);
    if (isSpare) {
      const own = dumps(question.row);
      examples = examples.filter(({ text }) => text !== own).slice(0, shots.count);
      if (examples.length < shots.count) {
        // The pool has the row more than once: drawn again from all others.
        const others = pool.rows.map((_, i) => i).filter((i) => shot(i).text !== own);
        require(others.length, shots.count);
        examples = random.sample(others.length, shots.count).map((i) => shot(others[i]!));
      }
    }
    return question.of(examples.map(({ example }) => example).join(""));
  });
}

/** A row of the pool as an example, and as a text to be compared with others. */
interface Shot {
  readonly example: string;
  readonly text: string;
}

/** A question before it has examples, and itself as an example. */
interface Asked {
  readonly row: Row;
  readonly example: string;
  readonly of: (examples: string) => Question;
}

function questionOf(task: Task): (row: Row) => Asked {
  if (task.kind === "multiple-choice") return (row) => choiceQuestion(task, row);
  if (task.kind === "cloze") return (row) => clozeQuestion(task, row);
  return (row) => textQuestion(task, row);
}

function choiceQuestion(task: ChoiceTask, row: Row): Asked {
  const choices = typeof task.choices === "string"
    ? texts(row, task.choices)
    : typeof task.choices === "function"
    ? task.choices(row)
    : task.choices.map((template) => fill(template, row));
  const gold = goldOf(task, row);
  if (!Number.isInteger(gold) || gold < 0 || gold >= choices.length) {
    throw new TaskError(`its answer is none of its ${choices.length} choices, wanted one of them`);
  }
  const prompt = typeof task.prompt === "string" ? fill(task.prompt, row) : task.prompt(row);
  const promptOf = (choice: number) => typeof prompt === "string" ? prompt : prompt[choice]!;
  return {
    row,
    example: promptOf(gold) + DELIMITERS.target + choices[gold] + DELIMITERS.example,
    of: (examples) => ({
      row,
      requests: choices.map((choice, i) => [examples + promptOf(i), DELIMITERS.target + choice]),
      choices,
      gold,
      target: typeof prompt === "string" ? String(gold) : choices[gold]!,
    }),
  };
}

function goldOf({ gold }: ChoiceTask, row: Row): number {
  if (typeof gold === "function") return gold(row);
  if (typeof gold === "number") return gold;
  if (typeof gold === "string") return Number(column(row, gold));
  return texts(row, gold.in).indexOf(String(column(row, gold.find)));
}

function clozeQuestion(task: ClozeTask, row: Row): Asked {
  const text = (part: ClozeTask["prompt"]) => typeof part === "string" ? fill(part, row) : part(row);
  const [prompt, target] = [text(task.prompt), text(task.target)];
  return {
    row,
    example: prompt + DELIMITERS.target + target + DELIMITERS.example,
    of: (examples) => ({ row, requests: [[examples + prompt, target]], choices: [target], gold: 0, target }),
  };
}

function textQuestion(task: TextTask, row: Row): Asked {
  const text = fill(task.text, row);
  return { row, example: "", of: () => ({ row, requests: [[text, ""]], choices: [], gold: 0, target: text }) };
}

/** Says at which row a mistake is. */
function at<T>(place: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof TaskError)) throw error;
    throw new TaskError(`Cannot use ${place}: ${error.message}`, { cause: error });
  }
}
