/** Training on a mixture of sources: the same bytes whether it was stopped or not. */
import assert from "node:assert/strict";
import { assertMistake } from "./mistakes.ts";
import { micro, words, Workspace } from "./program.ts";

/** A workspace with two sources and a manifest that mixes them three to one. */
async function mixed(): Promise<Workspace> {
  const workspace = await Workspace.make();
  const lines = (from: number) =>
    Array.from({ length: 60 }, (_, at) => `${JSON.stringify({ page: words(from + at) })}\n`).join("");
  await Deno.writeTextFile(workspace.at("pages.jsonl"), lines(30));
  for (let at = 0; at < 20; at++) await Deno.writeTextFile(workspace.at(`book-${at}.txt`), words(100 + at));
  await workspace.write("mixed.json", {
    ...micro,
    name: "mixed",
    data: {
      sources: [
        { name: "pages", paths: [workspace.at("pages.jsonl")], column: "page", weight: 75 },
        { name: "books", paths: [workspace.at("book-*.txt")], weight: 25 },
      ],
      tokenizer: { kind: "train-bpe", vocab: 320 },
      heldOut: { kind: "documents", every: 10, index: 3 },
      shuffleBuffer: 16,
    },
  });
  return workspace;
}

Deno.test("a run on a mixture that is killed and resumed has the bytes of one that was not", async () => {
  await using workspace = await mixed();
  const train = async (out: string, ...args: string[]) => {
    const outcome = await workspace.run("train", workspace.at("mixed.json"), "--out", out, ...args);
    assert.equal(outcome.code, 0, outcome.stderr);
    return outcome;
  };
  const { stderr } = await train("straight", "--threads", "1");
  assert.match(stderr, /75% pages \(1 files, .*\), 25% books \(20 files, .*\); vocabulary 320/);
  const child = workspace.start("train", workspace.at("mixed.json"), "--out", "killed", "--threads", "2");
  await workspace.recorded("killed", 12);
  child.kill("SIGKILL");
  await child.output();
  await train("killed", "--resume", "--threads", "2");
  assert.deepEqual(await workspace.tensors("killed", 20), await workspace.tensors("straight", 20));
  const losses = async (out: string) =>
    (await workspace.events(out)).filter(({ type }) => type === "step" || type === "eval").map((
      { type, step, loss },
    ) => [
      type,
      step,
      loss,
    ]);
  assert.deepEqual(await losses("killed"), await losses("straight"));
});

Deno.test("a run that meets a bad record stops at a checkpoint, or skips it and says so", async () => {
  await using workspace = await mixed();
  const lines = (await Deno.readTextFile(workspace.at("pages.jsonl"))).trimEnd().split("\n");
  lines[45] = "not JSON";
  lines[50] = '{"page":null}';
  lines[51] = '{"page":"too short"}';
  await Deno.writeTextFile(workspace.at("pages.jsonl"), lines.join("\n"));
  // A tokenizer that were trained would meet the line before the first step.
  const train = [
    "train",
    workspace.at("mixed.json"),
    "--set",
    'data.tokenizer={"kind":"bytes"}',
    "--set",
    "train.batch=64",
  ];
  const stopped = await workspace.run(...train, "--out", "stopped");
  assert.equal(stopped.code, 2);
  assert.match(stopped.stderr, /error: .*pages\.jsonl: line 46 .*data\.onBadRecord/);
  const steps = (await workspace.events("stopped")).filter(({ type }) => type === "step").length;
  assert.ok(steps > 0, "some steps can be made before the line is reached");
  assert.ok((await workspace.tensors("stopped", steps)).length > 0, "they are kept");

  await Deno.writeTextFile(workspace.at("pages.jsonl"), [lines[0], "not JSON", ...lines.slice(2)].join("\n"));
  const atOnce = await workspace.run(...train, "--out", "at-once");
  assert.match(atOnce.stderr, /failed after step 0; there is no checkpoint yet/);
  assert.equal(atOnce.code, 2);
  await Deno.writeTextFile(workspace.at("pages.jsonl"), lines.join("\n"));

  const skipped = await workspace.run(...train, "--out", "skipped", "--set", "data.onBadRecord=skip");
  assert.equal(skipped.code, 0, skipped.stderr);
  assert.match(skipped.stderr, /1 more records of pages cannot be read/);
  assert.match(skipped.stdout, /documents +\d+; skipped: \d+ too short, \d+ empty, \d+ unreadable/);
  const events = (await workspace.events("skipped")).filter(({ type }) => type === "data");
  const [pages, books] = events.at(-1)!["sources"] as Record<string, number>[];
  assert.ok(pages!["bad"] === pages!["empty"] && pages!["bad"] === pages!["short"] && pages!["bad"]! >= 1);
  assert.ok(books!["documents"]! > 0 && books!["bad"] === 0);
});

Deno.test("shards are trained on like the text that they were made from", async () => {
  await using workspace = await mixed();
  const run = async (...args: string[]) => {
    const outcome = await workspace.run(...args);
    assert.equal(outcome.code, 0, outcome.stderr);
  };
  const source = ["--column", "page", "--min-characters", "0"];
  await run("data", "train-tokenizer", "pages.jsonl", ...source, "--vocab", "320", "--out", "tokenizer.json");
  const tokenize = ["data", "tokenize", "pages.jsonl", ...source, "--tokenizer", "tokenizer.json"];
  await run(...tokenize, "--shard-tokens", "2000", "--out", "before");
  await run(...tokenize, "--placement", "after", "--out", "after");
  const train = (out: string, paths: string, column: string | null) => {
    const sources = JSON.stringify([{ name: "pages", paths: [workspace.at(paths)], column }]);
    const tokenizer = JSON.stringify({ kind: "file", path: workspace.at("tokenizer.json") });
    const set = [`data.sources=${sources}`, `data.tokenizer=${tokenizer}`, "data.minCharacters=0"];
    return ["train", workspace.at("mixed.json"), "--out", out, ...set.flatMap((assignment) => ["--set", assignment])];
  };
  await run(...train("text", "pages.jsonl", "page"));
  const text = await workspace.tensors("text", 20);
  for (const shards of ["before", "after"]) {
    await run(...train(`run-${shards}`, shards, null));
    assert.deepEqual(await workspace.tensors(`run-${shards}`, 20), text, shards);
  }
  const other = ["--set", 'data.tokenizer={"kind":"bytes"}'];
  await assertMistake(workspace, [...train("x", "after", null), ...other], /data\.tokenizer.*after\/tokenizer\.json/);
  await Deno.remove(workspace.at("after/shard-00000.ends"));
  await assertMistake(workspace, train("x", "after", null), /shard-00000\.ends: there is no such file/);
});

Deno.test("mistakes in sources are refused before anything is written", async (t) => {
  await using workspace = await mixed();
  const set = (assignment: string) => ["train", workspace.at("mixed.json"), "--out", "run", "--set", assignment];
  const cases: [what: string, assignment: string, says: RegExp][] = [
    ["corpus and sources", "data.corpus=sotu", /Cannot use data: .*wanted one of corpus, files and sources/],
    ["an order that needs all text", "data.order=shuffled-windows", /Cannot use data\.order/],
    [
      "an end that is not known",
      'data.heldOut={"kind":"tail","fraction":0.1}',
      /Cannot use data\.heldOut\.kind: "tail"/,
    ],
    ["an evaluation without end", "eval.batches=null", /Cannot use eval\.batches/],
    ["a mixture of no name", "data.sources=everything", /Cannot use data\.sources: "everything".*dclm-edu\+finephrase/],
    ["a weight of 0", 'data.sources=[{"name":"a","paths":["a"],"weight":0}]', /Cannot use data\.sources\.0\.weight: 0/],
    [
      "two sources of one name",
      'data.sources=[{"name":"a","paths":["a"]},{"name":"a","paths":["b"]}]',
      /names that differ/,
    ],
    ["a tokenizer too large", 'data.tokenizer={"kind":"cl100k"}', /Cannot use data\.tokenizer\.kind/],
  ];
  for (const [what, assignment, says] of cases) {
    await t.step(what, () => assertMistake(workspace, set(assignment), says));
  }
});
