/** Python's ways with texts and numbers, against what CPython 3.11 gives. */
import assert from "node:assert/strict";
import {
  capitalize,
  countWords,
  dumps,
  Float,
  length,
  lstrip,
  parse,
  strip,
} from "../../experiments/harness/python.ts";
import { aggregate, measure } from "../../experiments/harness/metrics.ts";
import type { TextTask } from "../../experiments/tasks/mod.ts";

Deno.test("floats have Python's shortest digits, and ints stay ints", () => {
  const text =
    "[1.0, 0.1, 1e+16, 9007199254740993, 1e-05, 0.0001, 1.5e-07, 123456789012345.6, -0.0, 1e+22, -2.5, 7, 5e-324]";
  assert.equal(dumps(parse(text)), text);
  assert.equal(dumps(parse("1E3")), "1000.0");
  assert.equal(dumps(new Float(NaN)), "NaN");
  assert.equal(dumps(new Float(-Infinity)), "-Infinity");
});

Deno.test("json.dumps in one line, indented and compact", () => {
  const value = parse('{"a": [], "b": {}, "c": [1, {"é": null}], "d": "\\u2028\\n\\"", "e": true}');
  assert.equal(dumps(value), '{"a": [], "b": {}, "c": [1, {"é": null}], "d": "\u2028\\n\\"", "e": true}');
  assert.equal(dumps(value, { isCompact: true }), '{"a":[],"b":{},"c":[1,{"é":null}],"d":"\u2028\\n\\"","e":true}');
  const indented = [
    "{",
    '  "a": [],',
    '  "b": {},',
    '  "c": [',
    "    1,",
    "    {",
    '      "é": null',
    "    }",
    "  ],",
    '  "d": "\u2028\\n\\"",',
    '  "e": true',
    "}",
  ];
  assert.equal(dumps(value, { indent: 2 }), indented.join("\n"));
});

Deno.test("white space is what str.isspace calls so", () => {
  assert.equal(strip("\u001c\u0085 a\u00a0b \u2029"), "a\u00a0b");
  assert.equal(strip("\ufeffa\u200b"), "\ufeffa\u200b", "neither is white space in Python");
  assert.equal(lstrip("\n a "), "a ");
  assert.equal(countWords(" a b\n\nc"), 4, "re.split gives an empty word before white space");
  assert.equal(length("a\u{1f600}é"), 3);
});

Deno.test("capitalize has title case first and lower case behind it", () => {
  const cases = {
    "": "",
    "hELLO wORLD": "Hello world",
    "ßA": "Ssa",
    "ǆA": "ǅa",
    "ŉA": "ʼNa",
    "ᾳΑ": "ᾼα",
    "ΟΔΟΣ": "Οδος",
    "ᲓᲐ": "Და",
  };
  for (const [text, wanted] of Object.entries(cases)) assert.equal(capitalize(text), wanted, text);
});

Deno.test("ties go to the first choice, and a perplexity is over words, bytes and bits", async () => {
  const choice = {
    name: "c",
    kind: "multiple-choice",
    dataset: null,
    splits: {},
    prompt: "",
    choices: "c",
    gold: 0,
  } as const;
  const question = { row: {}, requests: [], choices: ["aa", "é"], gold: 1, target: "1" };
  const scores = [-2, -2].map((logLikelihood) => ({ logLikelihood, isGreedy: false }));
  const acc = (gold: number) =>
    measure({ ...choice, metrics: ["acc", "acc_norm", "acc_bytes"] }, { ...question, gold }, scores);
  const value = (measures: Record<string, unknown>) => Object.values(measures).map((one) => (one as Float).value);
  // By characters -1 and -2, by bytes -1 and -1: é has one character and two bytes.
  assert.deepEqual([value(acc(0)), value(acc(1))], [[1, 1, 1], [0, 0, 0]]);
  const task: TextTask = { name: "t", kind: "text", dataset: null, splits: { test: "test" }, text: "{text}" };
  const texts = ["a bé", "c"].map((target) => ({ row: {}, requests: [], choices: [], gold: 0, target }));
  const measures = texts.map((text) => measure(task, text, [{ logLikelihood: -3, isGreedy: false }]));
  const of = async (metric: string) =>
    (await aggregate(metric, measures.map((one) => one[metric]!), 10, async () => {})).value;
  assert.equal(await of("word_perplexity"), Math.exp(6 / 3));
  assert.equal(await of("byte_perplexity"), Math.exp(6 / 6));
  assert.equal(await of("bits_per_byte"), 1 / Math.LN2);
});
