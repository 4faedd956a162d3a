/** `bowline eval` on a model trained here: results, samples, resumption, a user's own tasks. */
import assert from "node:assert/strict";
import { arcRows, evalWorkspace } from "./eval_rows.ts";
import { stepFolder } from "./program.ts";

/** The keys of a results file of the harness with a Hugging Face model, in order. */
const HARNESS_KEYS = [
  ...["results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config"],
  ...["git_hash", "date", "pretty_env_info", "transformers_version", "lm_eval_version", "upper_git_hash"],
  ...["tokenizer_pad_token", "tokenizer_eos_token", "tokenizer_bos_token", "eot_token_id", "max_length", "task_hashes"],
  ...["model_source", "model_name", "model_name_sanitized", "system_instruction", "system_instruction_sha"],
  ...["fewshot_as_multiturn", "chat_template", "chat_template_sha", "total_evaluation_time_seconds"],
];

Deno.test("bowline eval", async (t) => {
  await using workspace = await evalWorkspace();
  const run = async (...args: string[]) => {
    const outcome = await workspace.run("eval", "run", "--data", "rows", ...args);
    assert.equal(outcome.code, 0, outcome.stderr);
    return outcome;
  };
  const filesOf = (folder: string) => [...Deno.readDirSync(workspace.at(folder))].map(({ name }) => name).sort();
  const results = async (...args: string[]) => JSON.parse((await run(...args, "--json")).stdout);

  await t.step("prints the harness's table and writes its files", async () => {
    const { stdout } = await run("--tasks", "arc_easy,arc_challenge", "--out", "out");
    assert.match(stdout, /^\| +Tasks +\|Version\|Filter\|n-shot\| Metric \|/);
    assert.match(stdout, /^\|arc_easy {5}\| {6}1\|none {2}\| {5}0\|acc {5}\|↑ {2}\|/m);
    assert.match(stdout, /mean of acc: \d+\.\d\d %; mean of acc_norm: \d+\.\d\d %, over 2 tasks\n$/);
    const names = filesOf("out");
    assert.equal(names.length, 4);
    assert.equal(names[0], "eval.json");
    const date = /^results_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d+)\.json$/.exec(names[1]!)![1];
    assert.deepEqual(names.slice(2), [`samples_arc_challenge_${date}.jsonl`, `samples_arc_easy_${date}.jsonl`]);
    const file = JSON.parse(await Deno.readTextFile(workspace.at("out", names[1]!)));
    assert.deepEqual(Object.keys(file), [...HARNESS_KEYS, "bowline"]);
    assert.deepEqual(Object.keys(file.results.arc_easy), [
      "name",
      "alias",
      "sample_len",
      "acc,none",
      "acc_stderr,none",
      "acc_norm,none",
      "acc_norm_stderr,none",
    ]);
    assert.deepEqual(file["n-samples"], {
      arc_easy: { original: 12, effective: 12 },
      arc_challenge: { original: 9, effective: 9 },
    });
    const lines = (await Deno.readTextFile(workspace.at("out", names[3]!))).trimEnd().split("\n");
    const samples = lines.map((line) => JSON.parse(line));
    const mean = samples.reduce((sum, sample) => sum + sample.acc, 0) / 12;
    assert.equal(file.results.arc_easy["acc,none"], mean);
    for (const sample of samples) {
      const values = sample.filtered_resps.map(([value]: [string]) => Number(value));
      assert.ok(values.every((value: number) => value < 0 && Number.isFinite(value)));
      assert.equal(sample.acc === 1, values.indexOf(Math.max(...values)) === Number(sample.target));
    }
  });

  await t.step("goes on after finished tasks, and gives the same file as in one go", async () => {
    await run("--tasks", "arc_easy", "--out", "steps");
    const { stderr } = await run("--tasks", "arc_easy,arc_challenge", "--out", "steps");
    assert.match(stderr, /^arc_easy: finished before$/m);
    assert.match(stderr, /^arc_challenge: 9 rows/m);
    const read = async (folder: string) => {
      const name = filesOf(folder).find((name) => name.startsWith("results_"))!;
      const { date: _date, total_evaluation_time_seconds: _seconds, ...rest } = JSON.parse(
        await Deno.readTextFile(workspace.at(folder, name)),
      );
      return rest;
    };
    assert.deepEqual(await read("steps"), await read("out"));
    const { stderr: again } = await run("--tasks", "arc_easy,arc_challenge", "--out", "steps");
    assert.match(again, /arc_easy: finished before\narc_challenge: finished before\n$/);
  });

  await t.step("Ctrl-C keeps the finished tasks, and the same command goes on", async () => {
    await Deno.mkdir(workspace.at("many"));
    await Deno.writeTextFile(workspace.at("many", "arc_easy.test.jsonl"), arcRows(3, 0));
    await Deno.writeTextFile(workspace.at("many", "arc_challenge.test.jsonl"), arcRows(20_000, 0));
    const args = ["eval", "run", "--data", "many", "--tasks", "arc_easy,arc_challenge", "--out", "stopped"];
    const child = workspace.start(...args);
    let stderr = "";
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      stderr += decoder.decode(chunk, { stream: true });
      if (/^arc_easy: 3 rows/m.test(stderr) && !stderr.includes("interrupted")) child.kill("SIGINT");
    }
    assert.equal((await child.status).code, 130);
    await child.stdout.cancel();
    assert.match(stderr, /interrupted; finished tasks are kept: the same command goes on\n$/);
    assert.deepEqual(filesOf("stopped").map((name) => name.replace(/_\d.*/, "")), ["eval.json", "samples_arc_easy"]);
    const again = await workspace.run(...args.map((arg) => arg === "arc_easy,arc_challenge" ? "arc_easy" : arg));
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, /^arc_easy: finished before$/m);
  });

  await t.step("threads, limits and other tasks change no number", async () => {
    const all = await results("--tasks", "arc_challenge,arc_easy", "--shots", "3", "--threads", "1");
    const one = await results("--tasks", "arc_easy", "--shots", "3", "--threads", "3");
    assert.deepEqual(one.results.arc_easy, all.results.arc_easy);
    assert.equal(one.bowline.request_hashes.arc_easy, all.bowline.request_hashes.arc_easy);
    const part = await results("--tasks", "arc_easy", "--shots", "3", "--limit", "0.3");
    assert.deepEqual(part["n-samples"].arc_easy, { original: 12, effective: 4 });
    const samples = async (limit: string) => {
      await run("--tasks", "arc_easy", "--shots", "3", "--limit", limit, "--out", `limit-${limit}`);
      const name = filesOf(`limit-${limit}`).find((name) => name.startsWith("samples_"))!;
      return await Deno.readTextFile(workspace.at(`limit-${limit}`, name));
    };
    assert.ok((await samples("6")).startsWith(await samples("2")), "the first rows have the same shots and scores");
  });

  await t.step("tokenization and separator are what was asked for", async () => {
    const of = async (...args: string[]) => {
      const { results: found } = await results("--tasks", "arc_easy", "--limit", "4", ...args);
      return JSON.stringify(found);
    };
    assert.equal(await of(), await of("--tokenization", "joint", "--bos", "auto"));
    assert.equal(await of(), await of("--bos", "never"), "this tokenizer adds nothing by itself");
    const samples = async (bos: string) => {
      await run("--tasks", "arc_easy", "--limit", "2", "--bos", bos, "--out", bos);
      return await Deno.readTextFile(workspace.at(bos, filesOf(bos).find((name) => name.startsWith("samples_"))!));
    };
    assert.notEqual(await samples("always"), await samples("never"));
  });

  await t.step("study stands for its settings; what is given beside it counts", async () => {
    // Rows of the other four tasks of the study, in the forms of their data sets.
    const write = (name: string, row: (i: number) => object) =>
      Deno.writeTextFile(
        workspace.at("rows", name),
        Array.from({ length: 8 }, (_, i) => `${JSON.stringify(row(i))}\n`).join(""),
      );
    const choices = { text: ["ba", "ke"], label: ["A", "B"] };
    for (const split of ["train", "validation", "test"]) {
      const at = (i: number) => `${split} ${i} mi`;
      await write(`openbookqa.${split}.jsonl`, (i) => ({ question_stem: at(i), choices, answerKey: " B" }));
      await write(`piqa.${split}.jsonl`, (i) => ({ goal: at(i), sol1: "lo", sol2: "nu ra", label: i % 2 }));
      await write(
        `winogrande.${split}.jsonl`,
        (i) => ({ sentence: `${at(i)} _ lo`, option1: "ba", option2: "ke", answer: "2" }),
      );
      await write(`hellaswag.${split}.jsonl`, (i) => ({
        activity_label: "Lo",
        ctx_a: at(i),
        ctx_b: "ke",
        endings: ["ba", "ti", "se", "ra [x]"],
        label: String(i % 4),
      }));
    }
    const study = await results("--tasks", "study", "--limit", "5");
    const tasks = ["arc_easy", "arc_challenge", "hellaswag", "piqa", "winogrande", "openbookqa"];
    assert.deepEqual(Object.keys(study.results), tasks);
    const { tokenization, bos, mean } = study.bowline;
    assert.deepEqual([tokenization, bos, study["n-shot"].piqa], ["split", "always", 3]);
    assert.equal(mean.acc, tasks.reduce((sum, task) => sum + study.results[task]["acc,none"], 0) / 6);
    const own = await results("--tasks", "study", "--limit", "5", "--shots", "1", "--bos", "never");
    assert.deepEqual([own.bowline.bos, own.bowline.tokenization, own["n-shot"].piqa], ["never", "split", 1]);
  });

  await t.step("a checkpoint folder, and the perplexity of a text", async () => {
    const checkpoint = workspace.at("run", "checkpoints", stepFolder(20));
    const { stdout, code } = await workspace.run("eval", checkpoint, "--tasks", workspace.text, "--json");
    assert.equal(code, 0);
    const { text } = JSON.parse(stdout).results;
    const bytes = (await Deno.stat(workspace.text)).size;
    const log = bytes * Math.log(text["byte_perplexity,none"]);
    assert.ok(Math.abs(text["bits_per_byte,none"] - Math.log2(text["byte_perplexity,none"])) <= 1e-12);
    assert.ok(Math.abs(Math.log(text["word_perplexity,none"]) - log / 4000) <= 1e-9, "a text of 4000 words");
    assert.ok(text["bits_per_byte,none"] < 4, "better than chance among its letters");
    assert.equal(text["byte_perplexity_stderr,none"], "N/A");
  });

  await t.step("a task of one's own, as JSON and as a module", async () => {
    const rows = [{ q: "ba", a: "ke", b: "lo", right: 1 }, { q: "mi", a: "nu", b: "ra", right: 0 }];
    await Deno.writeTextFile(
      workspace.at("rows", "own.test.jsonl"),
      rows.map((row) => `${JSON.stringify(row)}\n`).join(""),
    );
    const own = {
      name: "own",
      kind: "multiple-choice",
      splits: { test: "test" },
      choices: ["{a}", "{b}"],
      gold: "right",
    };
    await workspace.write("own.json", { ...own, prompt: "Q: {q}\nA:", metrics: ["acc", "acc_bytes"] });
    const module = `export default { ...${JSON.stringify(own)}, prompt: (row) => "Q: " + row.q + "\\nA:" };`;
    await Deno.writeTextFile(workspace.at("own.ts"), module);
    const json = await results("--tasks", "own.json");
    const typed = await results("--tasks", "own.ts");
    assert.deepEqual(Object.keys(json.results.own).slice(3), [
      "acc,none",
      "acc_stderr,none",
      "acc_bytes,none",
      "acc_bytes_stderr,none",
    ]);
    assert.equal(json.bowline.request_hashes.own, typed.bowline.request_hashes.own);
  });
});
