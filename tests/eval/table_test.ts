/** The table, against what the harness printed for the same numbers. */
import assert from "node:assert/strict";
import { type Line, table } from "../../experiments/harness/table.ts";

const line = (task: string, metric: string, value: number, error: number | null, shots = 0): Line => ({
  task,
  version: 1,
  shots,
  metric,
  isHigherBetter: metric.startsWith("acc"),
  value,
  error,
});

const GOLDEN: [what: string, lines: Line[], printed: string][] = [
  [
    "the harness's own golden table",
    [
      line("arc_easy", "acc_norm", 0.1, null),
      line("arc_easy", "acc", 0.3, null),
      line("arc_challenge", "acc", 0, null),
    ],
    `
|    Tasks    |Version|Filter|n-shot| Metric |   |Value|   |Stderr|
|-------------|------:|------|-----:|--------|---|----:|---|------|
|arc_challenge|      1|none  |     0|acc     |↑  |  0.0|±  |   N/A|
|arc_easy     |      1|none  |     0|acc     |↑  |  0.3|±  |   N/A|
|             |       |none  |     0|acc_norm|↑  |  0.1|±  |   N/A|`,
  ],
  [
    "whole numbers only",
    [line("a", "acc", 1, 0)],
    `
|Tasks|Version|Filter|n-shot|Metric|   |Value|   |Stderr|
|-----|------:|------|-----:|------|---|----:|---|-----:|
|a    |      1|none  |     0|acc   |↑  |    1|±  |     0|`,
  ],
  [
    "errors of some lines",
    [line("arc_easy", "acc", 0.25, 0.01, 3), line("b", "acc", 0.250814, null, 3)],
    `
| Tasks  |Version|Filter|n-shot|Metric|   |Value |   |Stderr|
|--------|------:|------|-----:|------|---|-----:|---|------|
|arc_easy|      1|none  |     3|acc   |↑  |0.2500|±  |  0.01|
|b       |      1|none  |     3|acc   |↑  |0.2508|±  |   N/A|`,
  ],
  [
    "a perplexity",
    [line("lambada_openai", "perplexity", 12345.678901, 1.5), line("lambada_openai", "acc", 0.3, 0.00645)],
    `
|    Tasks     |Version|Filter|n-shot|  Metric  |   |  Value   |   |Stderr|
|--------------|------:|------|-----:|----------|---|---------:|---|-----:|
|lambada_openai|      1|none  |     0|acc       |↑  |    0.3000|±  |0.0065|
|              |       |none  |     0|perplexity|↓  |12345.6789|±  |1.5000|`,
  ],
  [
    "numbers that are not finite",
    [line("lambada_openai", "perplexity", Infinity, NaN), line("lambada_openai", "acc", 0.3, 0.00645)],
    `
|    Tasks     |Version|Filter|n-shot|  Metric  |   | Value  |   |Stderr|
|--------------|------:|------|-----:|----------|---|-------:|---|-----:|
|lambada_openai|      1|none  |     0|acc       |↑  |     0.3|±  |0.0065|
|              |       |none  |     0|perplexity|↓  |Infinity|±  |   NaN|`,
  ],
  [
    "a value between two",
    [line("a", "acc", 0.03125, 0.25), line("b", "acc", 0.09375, 0.5)],
    `
|Tasks|Version|Filter|n-shot|Metric|   |Value |   |Stderr|
|-----|------:|------|-----:|------|---|-----:|---|-----:|
|a    |      1|none  |     0|acc   |↑  |0.0312|±  |  0.25|
|b    |      1|none  |     0|acc   |↑  |0.0938|±  |  0.50|`,
  ],
];
for (const [what, lines, printed] of GOLDEN) {
  Deno.test(`a table of ${what}`, () => assert.equal(table(lines), printed.trimStart()));
}
