/** Tasks: rows that lack a column are refused by name, and what `--tasks` may say. */
import assert from "node:assert/strict";
import { questions, splitsOf } from "../../experiments/harness/questions.ts";
import { type ChoiceTask, loadTasks, STUDY_TASKS, TASKS } from "../../experiments/tasks/mod.ts";
import { parse, type Row } from "../../experiments/harness/python.ts";

const ROWS: Record<string, string> = {
  arc_easy: '{"question": "q", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"}',
  hellaswag: '{"activity_label": "l", "ctx_a": "a", "ctx_b": "b", "endings": ["x", "y"], "label": "1"}',
  piqa: '{"goal": "g", "sol1": "x", "sol2": "y", "label": 0}',
  winogrande: '{"sentence": "a _ b", "option1": "x", "option2": "y", "answer": "1"}',
  openbookqa: '{"question_stem": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": " B"}',
  sciq:
    '{"question": "q", "distractor1": "x", "distractor2": "y", "distractor3": "z", "correct_answer": "c", "support": ""}',
  lambada_openai: '{"text": "one two"}',
};
const ask = (name: string, row: Row) => {
  const task = TASKS.find((task) => task.name === name)!;
  return questions(task, { rows: [row], place: () => "rows, row 1" }, null, { count: 0, seed: 0 }, 1);
};

for (const [name, text] of Object.entries(ROWS)) {
  Deno.test(`${name} takes its rows, and none without a column`, () => {
    const row = parse(text) as Row;
    assert.equal(ask(name, row).length, 1);
    for (const key of Object.keys(row)) {
      const { [key]: _, ...rest } = row;
      assert.throws(() => ask(name, rest), { message: new RegExp(`^Cannot use rows, row 1: it has no ${key}\\b`) });
    }
  });
}

Deno.test("a sentence without a gap and an answer that is no choice are refused", () => {
  const row = parse(ROWS.winogrande!) as Row;
  assert.throws(() => ask("winogrande", { ...row, sentence: "a b" }), /row 1: its sentence has no gap _/);
  assert.throws(() => ask("winogrande", { ...row, answer: "3" }), /row 1: its answer is none of its 2 choices/);
  assert.throws(() => ask("piqa", { ...parse(ROWS.piqa!) as Row, goal: ["g"] }), /its goal is \["g"\], wanted a text/);
});

Deno.test("the row that is asked is never its own example, and too few others are told", () => {
  const row = (i: number) => ({ q: `q${i}`, c: ["x", "y"], g: 0 });
  const task: ChoiceTask = {
    name: "own",
    kind: "multiple-choice",
    dataset: null,
    splits: { validation: "validation" },
    prompt: "{q} {{}}",
    choices: "c",
    gold: "g",
    metrics: ["acc"],
  };
  const rows = { rows: [row(0), row(1), row(0), row(0), row(2)], place: String };
  const all = questions(task, rows, rows, { count: 2, seed: 1 }, Infinity);
  for (const [i, { requests: [[context]] }] of all.entries() as Iterable<[number, { requests: [[string]] }]>) {
    const examples = context.split("\n\n");
    assert.equal(examples.length, 3);
    assert.ok(examples.slice(0, 2).every((example) => !example.startsWith(`${rows.rows[i]!.q} `)), context);
    assert.equal(examples[2], `${rows.rows[i]!.q} {}`);
  }
  assert.throws(
    () => questions(task, rows, rows, { count: 3, seed: 1 }, 1),
    /Cannot draw 3 examples for own: there are 2/,
  );
  assert.throws(() => splitsOf({ train: "train" }), /no split to evaluate/);
});

Deno.test("names, the study, and what is not known", async () => {
  const names = async (list: string) => (await loadTasks(list)).map(({ task }) => task.name);
  assert.deepEqual(await names("piqa, sciq"), ["piqa", "sciq"]);
  assert.deepEqual(await names("study"), STUDY_TASKS.map(({ name }) => name));
  await assert.rejects(names("study,piqa"), /piqa is there twice/);
  await assert.rejects(names("winogrand"), /perhaps winogrande is meant/);
});
