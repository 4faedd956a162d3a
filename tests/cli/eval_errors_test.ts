/** What a user's mistakes with `bowline eval` look like: one line, exit code 2, nothing written. */
import assert from "node:assert/strict";
import { evalWorkspace } from "./eval_rows.ts";
import { config, tensorsOfConfig, writeTensors } from "./foreign.ts";
import { assertMistake } from "./mistakes.ts";

Deno.test("bowline eval refuses mistakes in one line", async (t) => {
  await using workspace = await evalWorkspace();
  const lines = (...rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  const arc = { question: "q", choices: { text: ["a", "b"], label: ["A", "B"] } };
  const folder = async (name: string, content: string) => {
    await Deno.mkdir(workspace.at(name));
    await Deno.writeTextFile(workspace.at(name, "arc_easy.test.jsonl"), content);
  };
  await folder("no-answer", lines({ ...arc, answerKey: "B" }, arc));
  await folder("wrong-answer", lines({ ...arc, answerKey: "C" }));
  await folder("no-json", `${lines({ ...arc, answerKey: "A" })}oops\n`);
  await folder("no-rows", "\n");
  await folder("long", lines({ ...arc, choices: { ...arc.choices, text: ["ba ".repeat(9000), "b"] }, answerKey: "A" }));
  await Deno.mkdir(workspace.at("taken"));
  await Deno.writeTextFile(workspace.at("taken", "note"), "mine");
  await Deno.writeTextFile(workspace.at("empty.txt"), " \n");
  await workspace.write("bad.json", { name: "bad", kind: "multiple-choice", splits: {}, prompt: "{q}", choices: "c" });
  const { code } = await workspace.run("eval", "run", "--data", "rows", "--tasks", "arc_easy", "--out", "done");
  assert.equal(code, 0);
  const one = (...args: string[]) => ["--data", "rows", "--tasks", "arc_easy", ...args];
  const rows = (folder: string, ...more: string[]) => ["--data", folder, "--tasks", "arc_easy", "--out", "x", ...more];
  const cases: [what: string, args: string[], says: RegExp][] = [
    ["an unknown task", ["--tasks", "arc_eazy"], /Cannot find the task arc_eazy: perhaps arc_easy is meant, .*sciq/],
    ["no task", ["--tasks", ","], /--tasks ,: it names none/],
    ["a task twice", ["--tasks", "arc_easy,arc_easy"], /arc_easy is there twice/],
    ["a file that is no task", ["--tasks", "bad.json"], /bad\.json: gold/],
    ["a task file that is not there", ["--tasks", "none.ts"], /none\.ts: no such file/],
    ["a text that is not there", ["--tasks", "none.txt"], /none\.txt: no such file/],
    ["an empty text", ["--tasks", "empty.txt"], /empty\.txt: it is empty/],
    [
      "no rows of a task",
      ["--data", "rows", "--tasks", "piqa"],
      /the validation split of piqa in rows: .*piqa\.validation/,
    ],
    ["no rows for shots", rows("long", "--shots", "1"), /the train split of arc_easy in long/],
    ["more shots than rows", one("--shots", "31"), /Cannot draw 31 examples for arc_easy: there are 30 rows/],
    ["a row without an answer", rows("no-answer"), /no-answer\/arc_easy\.test\.jsonl, row 2: it has no answerKey/],
    ["a row with a wrong answer", rows("wrong-answer"), /wrong-answer.*row 1: its answer is none of its 2 choices/],
    ["a line that is no JSON", rows("no-json"), /no-json.*line 2 is not valid JSON/],
    ["a file without rows", rows("no-rows"), /no-rows.*it has no rows/],
    [
      "a continuation that is too long",
      rows("long"),
      /continuation has \d+ tokens, wanted at most \d+ \(model\.maxSeqLen\)/,
    ],
    ["a folder in use", one("--out", "taken"), /Cannot evaluate into taken: it holds other files/],
    ["other settings", one("--out", "done", "--shots", "1"), /into done: shots is 1, there it is 0/],
    ["a limit", one("--out", "done", "--limit", "3"), /into done: limit is 3, there it is null/],
    [
      "another checkpoint",
      ["run/checkpoints/step-00000010"],
      /into done: it holds an evaluation of another checkpoint/,
    ],
    ["a wrong limit", one("--limit", "1.5"), /--limit 1\.5/],
    ["fewer than no shots", one("--shots", "-1"), /--shots -1/],
    ["no run", ["nothing"], /Cannot find a checkpoint at nothing/],
    ["an unknown way", one("--bos", "maybe"), /--bos.*maybe/],
  ];
  for (const [what, args, says] of cases) {
    const all = args.length === 1 ? [args[0]!, ...one("--out", "done")] : ["run", ...args];
    await t.step(what, () => assertMistake(workspace, ["eval", ...all], says));
  }
  await t.step("a run without a tokenizer", async () => {
    await Deno.mkdir(workspace.at("foreign"));
    await workspace.write("foreign/config.json", config);
    await writeTensors(workspace.at("foreign", "model.safetensors"), tensorsOfConfig());
    await workspace.run("import", "foreign", "--out", "imported");
    await assertMistake(workspace, ["eval", "imported", ...one("--out", "x")], /it has no tokenizer/);
  });
  await t.step("other rows under a finished task", async () => {
    await Deno.writeTextFile(workspace.at("rows", "arc_easy.test.jsonl"), lines({ ...arc, answerKey: "A" }));
    await assertMistake(workspace, ["eval", "run", ...one("--out", "done")], /the questions of arc_easy are others/);
  });
});
