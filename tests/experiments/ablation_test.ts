/** The component ablation and the main grid as presets. */
import assert from "node:assert/strict";
import {
  ablationNames,
  CONFIGS,
  countParameters,
  mainExperiments,
  parseAblation,
  plan,
  preset,
  variants,
} from "../../experiments/mod.ts";
import { sharedFolder } from "../shared.ts";
import { refuses } from "./support.ts";

const golden = sharedFolder("golden/param-counts.json");

Deno.test("parameters equal all 134 published counts of the ablation", { ignore: golden === null }, async () => {
  const rows: { config: string; variant: string; unique: number }[] =
    JSON.parse(await Deno.readTextFile(golden!)).ablation;
  assert.equal(rows.length, 134);
  for (const { config, variant, unique } of rows) {
    const name = `ablation/${config}/${variant}`;
    assert.equal(countParameters(plan(preset(name))).total, unique, name);
  }
  const published = Object.keys(CONFIGS).filter((config) => !config.startsWith("nano"));
  const named = published.flatMap((config) => variants(config).map((variant) => `${config}/${variant}`));
  assert.deepEqual(named.sort(), rows.map(({ config, variant }) => `${config}/${variant}`).sort());
});

Deno.test(
  "parameters equal the 54 published counts of the main grid by name",
  { ignore: golden === null },
  async () => {
    const rows:
      (Record<"arch" | "scale", string> & Record<"tie_group_size" | "tied_layer_experts" | "total", number>)[] =
        JSON.parse(await Deno.readTextFile(golden!)).arch;
    const families: Record<string, string> = { olmoe: "olmoe", qwen3moe: "qwen3", deepseek: "deepseek-style" };
    const suffixes: Record<string, string> = { "0.25": "-narrow", "1": "", "2": "-w2x", "4": "-w4x" };
    const names = rows.map((row) => {
      const untied = `${families[row.arch]}-${row.scale}`;
      const suffix = suffixes[row.tied_layer_experts / preset(untied).model.experts];
      const name = `${untied}-g${row.tie_group_size}${suffix}`;
      assert.equal(countParameters(plan(preset(name))).total, row.total, name);
      return name;
    });
    assert.deepEqual(names.sort(), mainExperiments.map((input) => input.name).sort());
  },
);

Deno.test("every name is a preset whose manifest has that name, and is taken apart as it was put together", () => {
  const names = ablationNames();
  assert.equal(new Set(names).size, names.length);
  for (const name of names) {
    assert.equal(preset(name).name, name);
    const { config, variant, topology, mode, divisor, seed } = parseAblation(name)!;
    assert.equal(`ablation/${config}/${variant}`, name);
    assert.ok(variant.includes(`${topology}_32${mode === null ? "" : `_${mode}`}`), name);
    assert.deepEqual([divisor, seed], ["sqrt", null]);
  }
});

Deno.test("a name may give the divisor and the seed", () => {
  const { train } = preset("ablation/small/fourgroups1_32_experttie-linear/seed-3");
  assert.deepEqual([train.tiedLrDivisor, train.seed], ["linear", 3]);
  const linear = plan(preset("ablation/small/fourgroups1_32_experttie-linear"));
  assert.equal(linear.banks.find((bank) => bank.id === "experts.2")?.lrDivisor, 7);
  assert.equal(linear.banks.find((bank) => bank.id === "attention.9")?.lrDivisor, 7, "not shared, but in the group");
});

Deno.test("the published recipe of configuration small", () => {
  const p = plan(preset("ablation/small/twogroup_32_lora"));
  assert.deepEqual(p.train, { steps: 10_000, batch: 64, accumulation: 4, seqLen: 512, recompute: false });
  assert.deepEqual(p.losses, {
    balance: { coefficient: 0.01, counts: "argmax" },
    z: { coefficient: 1e-4 },
    maskLastTarget: false,
  });
  assert.deepEqual([p.optimizer.muon.lr, p.optimizer.adamw.weightDecay, p.schedule.warmupSteps], [0.02, 0, 50]);
  assert.deepEqual([p.model.head, p.sites.length, p.sites[0]!.adapter], ["embedding", 32, null]);
  // Two layers, seven times: site 4 is the second use of the layer of site 2.
  assert.equal(p.sites[4]!.attention, p.sites[2]!.attention);
  assert.notEqual(p.sites[4]!.router, p.sites[2]!.router);
  assert.notEqual(p.sites[3]!.experts, p.sites[2]!.experts);
  assert.equal(p.banks.find((bank) => bank.kind === "adapter")?.shape.R, 32);
  const baseline = plan(preset("ablation/small/baseline_32")).train;
  assert.deepEqual([baseline.batch, baseline.accumulation], [32, 8]);
  const dense = plan(preset("ablation/small-dense/dense_baseline_32"));
  assert.deepEqual([dense.losses.balance.coefficient, dense.losses.z.coefficient], [0, 0]);
});

for (
  const name of [
    "ablation/small/threegroups_32_alltie",
    "ablation/small/twogroup_32_everything",
    "ablation/small/twogroup_16_alltie",
    "ablation/small/baseline_32_alltie",
    "ablation/small/twogroup_32",
    "ablation/small/twogroup_32_alltie-cubic",
    "ablation/small-dense/twogroup_32_alltie",
    "ablation/small/dense_twogroup_32_alltie",
    "ablation/medium/twogroup_32_alltie",
    "olmoe-tiny-g3",
  ]
) {
  Deno.test(`preset() refuses the variant ${name}`, () => refuses(() => preset(name), name, ""));
}
