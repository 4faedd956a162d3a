/** `experiments table`: the numbers, what it says about runs that are not there, and that records lose nothing. */
import assert from "node:assert/strict";
import { join } from "@std/path";
import { tableCommand } from "../../cli/experiments/table.ts";
import { apply, manifestText, sha256 } from "../../cli/experiments/table/differences.ts";
import { type FinishedRun, readRecord } from "../../cli/experiments/table/record.ts";
import type { Report, Row } from "../../cli/experiments/table/report.ts";
import { preset } from "../../experiments/mod.ts";
import { unclosed, writeRun } from "./study_runs.ts";

const VARIANT = "fourgroups1_32_experttie";
const STEPS = preset("ablation/nano/baseline_32").train!.steps!;
const FORMATS = ["text", "markdown", "csv", "json", "svg"];

/** A temporary folder with runs of the nano study. */
class Study implements AsyncDisposable {
  readonly path: string = Deno.makeTempDirSync();
  readonly runs: string = join(this.path, "runs");

  /** Finishes runs of a variant, one per loss, with seeds from 1. */
  async finish(variant: string, losses: readonly number[], agreement?: readonly [number, number]): Promise<void> {
    for (const [i, loss] of losses.entries()) {
      await writeRun(this.runs, `ablation/nano/${variant}/seed-${i + 1}`, { loss, ...agreement && { agreement } });
    }
  }

  /** What `table` prints. */
  async table(...args: string[]): Promise<string> {
    const out = join(this.path, "out");
    await tableCommand().parse([...args, "--out", out]);
    return await Deno.readTextFile(out);
  }

  /** The report of the nano study in these runs. */
  async report(...args: string[]): Promise<Report> {
    return JSON.parse(await this.table("--study", "nano", "--runs", this.runs, "--json", ...args));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

function rowOf(report: Report, label: string): Row {
  return report.tables.flatMap(({ rows }) => rows).find((row) => row.label === label)!;
}

Deno.test("a row has mean, spread, paired difference, memory saved and agreement", async () => {
  await using study = new Study();
  await study.finish("baseline_32", [4.0, 4.1, 4.2]);
  await study.finish(VARIANT, [4.2, 4.2, 4.5], [0.25, 0.5]);
  const report = await study.report();
  assert.deepEqual(rowOf(report, VARIANT), {
    label: VARIANT,
    mode: "experttie",
    runs: 3,
    of: 3,
    // Baseline, D 64, E 8, F 64, P 32: embedding 2048 D, then 32 times attention 4 D D + 2 P, norms 2 D, router E D and
    // experts 3 E D F, then a norm D: 3,823,680. The variant has 8 banks of experts in place of 32.
    parameters: 3_823_680 - 24 * 3 * 8 * 64 * 64,
    memorySaved: 61.702234, // 100 x 2,359,296 / 3,823,680
    loss: 4.3,
    lossSpread: 0.173205, // sqrt((0.01 + 0.01 + 0.04) / 2)
    delta: 0.2, // of 0.2, 0.1, 0.3
    deltaError: 0.057735, // 0.1 / sqrt(3)
    agreement: 0.25,
    setAgreement: 0.5,
    published: { loss: 3.47, delta: 0.038, parameters: null, accuracy: null, agreement: null },
  });
  const { loss, lossSpread, delta, deltaError, memorySaved, agreement } = rowOf(report, "baseline_32");
  assert.deepEqual([loss, lossSpread, delta, deltaError, memorySaved, agreement], [4.1, 0.1, 0, null, 0, null]);
});

Deno.test("a difference is over the seeds that both have", async () => {
  await using study = new Study();
  await study.finish("baseline_32", [4.0, 4.1]);
  await study.finish(VARIANT, [4.2, 4.2, 9]);
  const { runs, delta, deltaError } = rowOf(await study.report(), VARIANT);
  assert.deepEqual([runs, delta, deltaError], [3, 0.15, 0.05]);
});

Deno.test("without an agreement at the evaluation it is that of the last 20 steps", async () => {
  await using study = new Study();
  const steps = Array.from({ length: 24 }, (_, i) => i < 4 ? [1, 1] as const : [0.1 + i % 2 / 10, 0.5] as const);
  await writeRun(study.runs, `ablation/nano/${VARIANT}/seed-1`, { loss: 4, steps });
  const { agreement, setAgreement } = rowOf(await study.report(), VARIANT);
  assert.deepEqual([agreement, setAgreement], [0.15, 0.5]);
});

Deno.test("runs that are missing, unfinished or diverged are named, and give no numbers", async () => {
  await using study = new Study();
  const seed = (n: number) => `ablation/nano/${VARIANT}/seed-${n}`;
  await study.finish("baseline_32", [4.0, 4.1, 4.2]);
  await writeRun(study.runs, seed(1), { steps: [[0.5, 0.5], [0.5, 0.5]] });
  await writeRun(study.runs, seed(2), { loss: 4, end: "interrupted" });
  await writeRun(study.runs, "ablation/nano/moeut_32_alltie/seed-1", { loss: NaN });
  const report = await study.report("--section", "fine");
  const { runs, of, loss, delta, parameters } = rowOf(report, VARIANT);
  assert.deepEqual([runs, of, loss, delta], [0, 3, null, null]);
  assert.equal(parameters, 3_823_680 - 24 * 3 * 8 * 64 * 64, "the plan has them without a run");
  const states = new Map(report.notFinished.map(({ name, state }) => [name, state]));
  assert.equal(states.get(seed(1)), `unfinished: step 2 of ${STEPS}`);
  assert.equal(states.get(seed(2)), `unfinished: step 0 of ${STEPS}, interrupted`);
  assert.equal(states.get(seed(3)), "missing");
  assert.equal(states.size, 54 - 4);
  assert.deepEqual(report.diverged, ["ablation/nano/moeut_32_alltie/seed-1"]);
  assert.equal(rowOf(report, "moeut_32_alltie").loss, null);
  const text = await study.table("--study", "nano", "--runs", study.runs);
  assert.match(text, new RegExp(`${seed(1)}: unfinished: step 2 of ${STEPS}$`, "m"));
  assert.match(text, /not a number:\n {2}ablation\/nano\/moeut_32_alltie\/seed-1$/m);
});

Deno.test("a line that is cut short is one that is being written", async () => {
  await using study = new Study();
  await study.finish("baseline_32", [4]);
  const path = join(study.runs, "ablation/nano/baseline_32/seed-1/events.jsonl");
  const events = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, events.slice(0, -5));
  assert.equal(rowOf(await study.report(), "baseline_32").runs, 0, "its end is not written yet");
});

Deno.test("a published mean stands beside a mean of ours, and only of all its runs", async () => {
  await using study = new Study();
  const runs = study.runs;
  await writeRun(runs, "ablation/small/baseline_32", { loss: 3.4 });
  const divisors = async (section: string) =>
    (JSON.parse(await study.table("--section", section, "--runs", runs, "--json")) as Report).tables[0]!.rows;
  for (const [mode, loss] of [["alltie", 3.6], ["attntie", 3.5]] as const) {
    await writeRun(runs, `ablation/small/fourgroups1_32_${mode}`, { loss });
  }
  const before = (await divisors("divisor")).find(({ label }) => label === "fourgroups1 sqrt (mean)")!;
  assert.deepEqual([before.runs, before.of, before.loss, before.delta], [2, 3, null, null]);
  await writeRun(runs, "ablation/small/fourgroups1_32_experttie", { loss: 3.4 });
  const after = (await divisors("divisor")).find(({ label }) => label === "fourgroups1 sqrt (mean)")!;
  assert.deepEqual([after.runs, after.loss, after.delta], [3, 3.5, 0.1]);
  assert.deepEqual([after.published.loss, after.published.delta], [3.503, 0.071]);
  for (const { label, published } of await divisors("divisor")) {
    assert.equal(published.loss !== null, label.endsWith("(mean)"), `${label}: only means are published`);
  }
  assert.match(await study.table("--section", "fine", "--runs", runs), /all-tie \(mean\).*~0\.75/);
});

Deno.test("what was run otherwise than the study says is said", async () => {
  await using study = new Study();
  const change = (preset: object) => ({ ...preset, train: { ...Object(preset).train, steps: 7 } }) as never;
  for (const seed of [1, 2]) await writeRun(study.runs, `ablation/nano/baseline_32/seed-${seed}`, { loss: 5, change });
  assert.deepEqual((await study.report()).changed, [
    { key: "train.steps", value: 7, runs: 2 },
  ]);
});

Deno.test("the table of a record is the table of the runs, byte for byte", async (t) => {
  await using study = new Study();
  await study.finish("baseline_32", [4.0, 4.1, 4.3]);
  await study.finish(VARIANT, [4.2, 4.25, 4.5], [1 / 3, 0.5]);
  await study.finish("fourgroups1_32_attnonly", [4.3]);
  await writeRun(study.runs, "ablation/nano-dense/dense_baseline_32/seed-1", { loss: 4.4, threads: 8 });
  await writeRun(study.runs, "ablation/nano/moeut_32_alltie/seed-1", { steps: [[0.5, 0.5]] });
  const file = join(study.path, "record.json");
  await study.report("--save-record", file);
  for (const format of FORMATS) {
    await t.step(format, async () => {
      const fromRuns = await study.table("--study", "nano", "--runs", study.runs, "--format", format);
      assert.equal(await study.table("--record", file, "--format", format), fromRuns);
    });
  }
  await t.step("a section", async () => {
    const fromRuns = await study.table("--study", "nano", "--section", "dense", "--runs", study.runs);
    assert.equal(await study.table("--record", file, "--section", "dense"), fromRuns);
  });
  await t.step("the record of a record", async () => {
    const copy = join(study.path, "copy.json");
    await study.table("--record", file, "--save-record", copy);
    assert.equal(await Deno.readTextFile(copy), await Deno.readTextFile(file));
  });
  await t.step("manifests and environments come back", async () => {
    const record = await readRecord(file);
    const finished = record.runs.filter((run): run is FinishedRun => run.state === "finished");
    assert.equal(finished.length, 8);
    for (const { name, differs, manifestSha256, environment } of finished) {
      const text = manifestText(apply(record.manifest, differs));
      assert.equal(text, await Deno.readTextFile(join(study.runs, name, "manifest.json")));
      assert.equal(await sha256(text), manifestSha256);
      const stored = await Deno.readTextFile(join(study.runs, name, "environment.json"));
      assert.deepEqual(record.environments[environment], JSON.parse(stored));
    }
    assert.equal(record.environments.length, 2);
  });
});

Deno.test("the plot is well-formed, and has the variants that have a difference", async () => {
  await using study = new Study();
  const draw = () => study.table("--study", "nano", "--runs", study.runs, "--format", "svg");
  const empty = await draw();
  assert.doesNotMatch(empty, />fourgroups1_32_attnonly</, "no run and no published value");
  await study.finish("baseline_32", [4.0, 4.1]);
  await study.finish("fourgroups1_32_attnonly", [4.3, 4.5]);
  const full = await draw();
  assert.match(full, />fourgroups1_32_attnonly</);
  for (const svg of [empty, full]) {
    assert.deepEqual(unclosed(svg), []);
    assert.doesNotMatch(svg, /NaN|undefined|Infinity|null/);
  }
});

Deno.test("accuracies of what `bowline eval` left stand beside the published mean", async () => {
  await using study = new Study();
  const name = "olmoe-tiny-g1";
  await writeRun(study.runs, name, { loss: 3.2 });
  await writeRun(study.runs, "olmoe-tiny-g4", { loss: 3.3 });
  const tasks = ["arc_easy", "arc_challenge", "hellaswag", "piqa", "winogrande", "openbookqa"];
  const write = async (run: string, file: string, acc: number[], how = { tokenization: "split", bos: "always" }) => {
    const folder = join(study.runs, run, "eval");
    await Deno.mkdir(folder, { recursive: true });
    const results = {
      results: Object.fromEntries(acc.map((value, i) => [tasks[i], { "acc,none": value }])),
      "n-shot": Object.fromEntries(acc.map((_, i) => [tasks[i], 3])),
      config: { limit: null },
      bowline: how,
    };
    await Deno.writeTextFile(join(folder, file), JSON.stringify(results));
  };
  await write(name, "results_2026-01-01.json", [0, 0, 0, 0, 0, 0]);
  await write(name, "results_2026-01-02.json", [0.5, 0.25, 0.3, 0.6, 0.5, 0.2]);
  await write("olmoe-tiny-g4", "results_2026-01-02.json", [0.4], { tokenization: "joint", bos: "always" });
  const args = ["--study", "main", "--section", "tiny", "--architecture", "olmoe", "--runs", study.runs];
  const { tables, evaluatedOtherwise } = JSON.parse(await study.table(...args, "--with-eval", "--json")) as Report;
  const rows = tables[0]!.rows;
  assert.deepEqual(
    rows[0]!.accuracies,
    Object.fromEntries(tasks.map((task, i) => [task, [50, 25, 30, 60, 50, 20][i]])),
  );
  assert.equal(rows[0]!.accuracy, 39.166667);
  assert.equal(rows[0]!.published.accuracy, 41.9);
  const tied = rows.find(({ label }) => label === "g4")!;
  assert.deepEqual([tied.accuracies!.arc_easy, tied.accuracies!.piqa, tied.accuracy], [40, null, null]);
  assert.deepEqual(evaluatedOtherwise, [{ name: "olmoe-tiny-g4", how: "tokenization joint" }]);
  const text = await study.table(...args, "--with-eval");
  assert.match(text, /arc_easy.*accuracy.*paper:/s);
  assert.match(text, /olmoe-tiny-g4: tokenization joint$/m);
  assert.doesNotMatch(await study.table(...args), /arc_easy/);
  const record = join(study.path, "record.json");
  await study.table(...args, "--with-eval", "--save-record", record);
  const narrow = ["--record", record, "--section", "tiny", "--architecture", "olmoe", "--with-eval"];
  assert.equal(await study.table(...narrow), text, "the record keeps them");
  await Deno.writeTextFile(join(study.runs, name, "eval", "results_2026-01-03.json"), "{}");
  await assert.rejects(study.table(...args, "--with-eval"), /Cannot read .*results_2026-01-03\.json: /);
});
