import assert from "node:assert/strict";
import { countParameters, plan, preset } from "../../experiments/mod.ts";
import { publishedMeans, STUDIES, studyEntries } from "../../experiments/studies/mod.ts";
import { refuses } from "./support.ts";

const sections = (study: string) =>
  Object.fromEntries(
    [...Map.groupBy(studyEntries({ study }), ({ section }) => section)].map(([name, all]) => [name, all.length]),
  );

Deno.test("the studies have their runs", () => {
  assert.deepEqual(sections("ablation"), { fine: 18, coarse: 18, divisor: 6, dense: 1 });
  assert.deepEqual(sections("main"), { tiny: 18, small: 18, regular: 18 });
  assert.deepEqual(sections("nano"), { fine: 54, dense: 3, "attention-only": 3 });
  assert.equal(studyEntries().length, 43 + 54 + 60);
});

Deno.test("names are unique, are presets, and so are the baselines", () => {
  const entries = studyEntries();
  const names = new Set(entries.map(({ name }) => name));
  assert.equal(names.size, entries.length);
  for (const { name, baseline, seed } of entries) {
    assert.equal(preset(name).name, name);
    assert.ok(names.has(baseline), `${name} is compared with ${baseline}, which is in no study`);
    if (seed !== undefined) assert.equal(preset(name).train?.seed, seed, name);
  }
  for (const study of STUDIES) {
    for (const { of } of publishedMeans(study)) of.forEach((name) => assert.equal(preset(name).name, name));
  }
});

Deno.test("variants are unique within a table and a seed", () => {
  const keys = studyEntries().map((e) => [e.study, e.section, e.architecture, e.variant, e.seed].join(" "));
  assert.equal(new Set(keys).size, keys.length);
});

Deno.test("divisors are those of the presets", () => {
  for (const { name, divisor } of studyEntries({ study: "ablation" })) {
    assert.equal(preset(name).train?.tiedLrDivisor, divisor, name);
  }
});

Deno.test("a study that is cut short has whole seeds", () => {
  const seeds = studyEntries({ study: "nano" }).map(({ seed }) => seed);
  assert.deepEqual(seeds, [1, 2, 3].flatMap((seed) => Array(20).fill(seed)));
});

Deno.test("published losses stand beside their runs", () => {
  const published = new Map(studyEntries().map(({ name, published }) => [name, published]));
  for (
    const [name, loss] of [
      ["ablation/small/baseline_32", 3.432],
      ["ablation/small/moeut_32_attntie", 3.653],
      ["ablation/small/threegroup_32_experttie", 3.451],
      ["ablation/small/sevengroups1_32_alltie", 3.485],
      ["ablation/small-coarse/baseline_32", 3.481],
      ["ablation/small-coarse/fourgroups1_32_attntie", 3.546],
      ["ablation/small-coarse/sevengroups1_32_experttie", 3.475],
      ["ablation/small-dense/dense_baseline_32", 3.56],
      ["ablation/nano/fourgroups1_32_alltie/seed-2", 3.525],
      ["deepseek-style-tiny-g4-w4x", 3.105],
      ["olmoe-tiny-g2", 3.136],
      ["qwen3-tiny-g4", 3.238],
      ["olmoe-regular-g4-w2x", 2.812],
    ] as const
  ) assert.equal(published.get(name)?.loss, loss, name);
  for (
    const name of [
      "ablation/small-coarse/onegroup_32_alltie",
      "ablation/small/fourgroups1_32_alltie-none",
      "ablation/nano/fourgroups1_32_attnonly/seed-1",
      "olmoe-small-g1",
      "olmoe-tiny-g1-narrow",
    ]
  ) assert.equal(published.get(name), null, `${name} has no published value`);
  const counted = (study: string) => studyEntries({ study }).filter(({ published }) => published).length;
  assert.deepEqual([counted("ablation"), counted("main"), counted("nano")], [18 + 8 + 1, 15 + 3, 3 * 19]);
});

Deno.test("published means agree with the published values that they are means of", () => {
  const published = new Map(studyEntries().map(({ name, published }) => [name, published?.loss]));
  const sqrt = publishedMeans("ablation").find(({ label }) => label.includes("sqrt"))!;
  const mean = sqrt.of.reduce((sum, name) => sum + published.get(name)!, 0) / sqrt.of.length;
  assert.ok(Math.abs(mean - sqrt.loss!) <= 0.001, `${mean} is ${sqrt.loss} but for the rounding of the parts`);
  assert.deepEqual(
    publishedMeans("ablation").filter(({ section }) => section === "divisor").map(({ loss }) => loss),
    [3.503, 3.506, 3.542],
  );
});

Deno.test("published parameter counts are those of the plans", () => {
  for (const { name, published } of studyEntries({ study: "main" })) {
    if (published?.parameters === undefined) continue;
    const { total } = countParameters(plan(preset(name)));
    // A widened model's routers have more outputs; the paper prints the count that its experts were chosen to match.
    assert.ok(
      Math.abs(total / published.parameters - 1) < 0.005,
      `${name}: ${total}, published ${published.parameters}`,
    );
  }
});

Deno.test("unknown studies, architectures and sections are refused with those that exist", async () => {
  await refuses(() => studyEntries({ study: "ablashun" }), "study ablashun", "ablation, main, nano");
  await refuses(() => studyEntries({ study: "main", section: "fine" }), "section fine", "tiny, small, regular");
  await refuses(() => studyEntries({ study: "main", architecture: "gpt" }), "gpt", "olmoe, qwen3, deepseek-style");
});
