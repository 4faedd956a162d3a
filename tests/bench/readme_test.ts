/** The benchmark's record and the README's tables of it. */
import assert from "node:assert/strict";
import { README, RECORD, withRecord } from "../../cli/bench/readme.ts";
import { type BenchRecord, describeMachine } from "../../cli/bench/record.ts";
import { row } from "../../cli/bench/report.ts";
import { reached } from "../../cli/bench/targets.ts";

const record: BenchRecord = JSON.parse(await Deno.readTextFile(RECORD));

Deno.test("the README shows the recorded benchmark", async () => {
  const readme = await Deno.readTextFile(README);
  assert.equal(readme, withRecord(readme, record), 'run "deno task docs:bench"');
});

Deno.test("the README follows the record", async () => {
  const readme = await Deno.readTextFile(README);
  const changed = { ...record, cases: [row("nano", { "tokens_per_s": 12_345, "step_ms": 165.9 })] };
  const written = withRecord(readme, changed);
  assert.match(written, /\| nano +\| +12,345 \| +166 \|/);
  assert.match(written, /\| olmoe-tiny-g4: tokens\/s +\| +at least [\d.]+ \| not measured \| +\|/);
  assert.equal(withRecord(written, record), readme);
  assert.throws(() => withRecord("no marks", record), /Cannot write the tables: wanted the marks/);
});

Deno.test("the record says where it was made", () => {
  const { machine, rounds } = record;
  assert.deepEqual(Object.keys(machine).sort(), Object.keys(describeMachine()).sort());
  assert.ok(machine.cores > 0 && machine.memory_gb > 0 && rounds % 2 === 1);
  assert.match(machine.git!.commit, /^[0-9a-f]{40}$/);
});

Deno.test("a target scales with the probe where it says so, and what is not measured is not reached", () => {
  const cases = [
    row("nano", { "tokens_per_s": 9600, "step_ms": 2, "optimizer_ms": 3 }),
    row("nano-untied", { "step_ms": 4, "optimizer_ms": 2 }),
    row("olmoe-tiny-g4", { "peak_mb": 4200, share: NaN }),
  ];
  const find = (all: number, what: string) =>
    reached({ probe: { "one_gflops": 1, "all_gflops": all }, cases, ops: [] }).find((one) =>
      `${one.name}: ${one.what}` === what
    )!;
  const scaled = "nano: tokens/s, scaled from 150 GFLOP/s";
  assert.deepEqual([150, 300].map((all) => find(all, scaled).wanted), [9600, 19_200]);
  assert.deepEqual([150, 300].map((all) => find(all, scaled).isReached), [true, false]);
  assert.deepEqual([150, 300].map((all) => find(all, "olmoe-tiny-g4: tokens/s").wanted), [64, 64]);
  assert.equal(find(1, "nano: step by that of nano-untied").is, 0.5);
  assert.equal(find(1, "nano: its optimizer by that").isReached, false);
  assert.equal(find(1, "olmoe-tiny-g4: peak memory, MB").isReached, true);
  assert.equal(find(1, "olmoe-tiny-g4: share of the probe").isReached, false, "NaN");
  assert.deepEqual([find(1, "generate: tokens/s, one thread")].map(({ is, isReached }) => [is, isReached]), [[
    null,
    false,
  ]]);
});
