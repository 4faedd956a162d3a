/** `bowline data`: sources looked at, tokenised, verified; and what a user's mistakes look like. */
import assert from "node:assert/strict";
import { assertMistake } from "./mistakes.ts";
import { words, Workspace } from "./program.ts";

/** JSON lines of `count` documents; every fifth is too short. */
function lines(count: number): string {
  const document = (at: number) => at % 5 === 3 ? "short" : words(20 + at);
  return Array.from({ length: count }, (_, at) => `${JSON.stringify({ id: at, text: document(at) })}\n`).join("");
}

/** The ids of a folder's shards, one after the other. */
function ids(folder: string): number[] {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".bin")).sort();
  return names.flatMap((name) => [...new Uint16Array(Deno.readFileSync(`${folder}/${name}`).buffer)]);
}

Deno.test("bowline data", async (t) => {
  await using workspace = await Workspace.make();
  const file = workspace.at("documents.jsonl");
  await Deno.writeTextFile(file, lines(50));
  const run = async (...args: string[]) => {
    const outcome = await workspace.run("data", ...args);
    assert.equal(outcome.code, 0, outcome.stderr);
    return outcome.stdout;
  };

  await t.step("inspect counts documents, lengths, tokens and what is skipped", async () => {
    const { sources } = JSON.parse(await run("inspect", file, "--tokenizer", "bytes", "--rows", "1", "--json"));
    assert.equal(sources.length, 1);
    const { documents, short, bad, columns, tokens, bytes, first, files, isPart } = sources[0];
    assert.deepEqual([documents, short, bad, isPart], [40, 10, 0, false]);
    assert.deepEqual(columns, ["text"]);
    assert.equal(tokens, bytes, "a token for each byte");
    assert.ok(words(20).startsWith(first[0]));
    assert.deepEqual(files, [{ name: file, bytes: (await Deno.stat(file)).size }]);
    assert.match(await run("inspect", file, "--limit", "7"), /documents +7;? ?.*\n/);
  });

  await t.step("tokenize writes shards that verify accepts, and resumes without a difference", async () => {
    const args = ["tokenize", file, "--tokenizer", "bytes", "--shard-tokens", "1000", "--json"];
    const report = JSON.parse(await run(...args, "--out", "tokens"));
    assert.deepEqual([report.documents, report.short, report.kept], [40, 10, 0]);
    assert.ok(report.shards > 2);
    const documents = Array.from({ length: 50 }, (_, at) => at).filter((at) => at % 5 !== 3);
    const wanted = documents.flatMap((at) => [256, ...new TextEncoder().encode(words(20 + at))]);
    assert.deepEqual(ids(workspace.at("tokens")), wanted);
    assert.match(await run("verify", "tokens"), new RegExp(`^${report.shards} shards, .* 40 documents\n$`));
    assert.equal(JSON.parse(await run(...args, "--out", "tokens", "--resume")).kept, report.shards);
  });

  await t.step("verify finds damage and exits with 1", async () => {
    const shard = workspace.at("tokens", "shard-00001.bin");
    const bytes = await Deno.readFile(shard);
    bytes[8]! ^= 1;
    await Deno.writeFile(shard, bytes);
    const { code, stdout } = await workspace.run("data", "verify", "tokens");
    assert.equal(code, 1);
    assert.match(stdout, /shard-00001\.bin: its content is not what was written/);
  });

  await t.step("train-tokenizer writes a tokenizer that training and tokenize take", async () => {
    await run("train-tokenizer", file, "--vocab", "300", "--out", "tokenizer.json");
    const report = JSON.parse(await run("tokenize", file, "--tokenizer", "tokenizer.json", "--out", "bpe", "--json"));
    assert.ok(report.tokens < ids(workspace.at("tokens")).length, "fewer than bytes");
  });
});

Deno.test("bowline data refuses mistakes in one line", async (t) => {
  await using workspace = await Workspace.make();
  await Deno.writeTextFile(workspace.at("two.jsonl"), '{"a": "one", "b": "two"}\n');
  await Deno.writeTextFile(workspace.at("bad.jsonl"), `{"text": "${words(20)}"}\n{"text": oops}\n`);
  await Deno.writeTextFile(workspace.at("unknown.xyz"), words(20));
  await Deno.mkdir(workspace.at("taken"));
  await Deno.writeTextFile(workspace.at("taken", "note"), "mine");
  const tokenize = ["tokenize", "text.txt", "--tokenizer", "bytes", "--out"];
  const cases: [what: string, args: string[], says: RegExp][] = [
    ["no file", ["inspect", "nothing.txt"], /nothing\.txt: there is no such file or folder/],
    ["no column", ["inspect", "two.jsonl"], /no column "text" of strings; those of strings are "\.a", "\.b"/],
    ["a line that is no JSON", ["inspect", "bad.jsonl"], /bad\.jsonl: .*line 2.*data\.onBadRecord/],
    ["a file of no known kind", ["inspect", "unknown.xyz"], /unknown\.xyz: its name does not say what it is/],
    ["an unknown format", ["inspect", "text.txt", "--format", "csv"], /--format.*csv/],
    ["no rows", ["inspect", "text.txt", "--rows", "-1"], /--rows -1/],
    ["a tokenizer that is none", ["inspect", "text.txt", "--tokenizer", "text.txt"], /Cannot use the tokenizer/],
    [
      "a separator that it lacks",
      ["inspect", "text.txt", "--tokenizer", "bytes", "--separator", "<s>"],
      /no token <s>/,
    ],
    ["a folder in use", [...tokenize, "taken"], /taken: it holds other files/],
    ["a shard of nothing", [...tokenize, "new", "--shard-tokens", "0"], /--shard-tokens 0/],
    ["too few tokens", ["train-tokenizer", "text.txt", "--vocab", "256", "--out", "x.json"], /--vocab 256/],
    ["no shards", ["verify", "taken"], /taken: it has no index\.json/],
    ["an address that is none", ["inspect", "hf://models/a/b"], /hf:\/\/models\/a\/b/],
  ];
  for (const [what, args, says] of cases) {
    await t.step(what, () => assertMistake(workspace, ["data", ...args], says));
  }
});
