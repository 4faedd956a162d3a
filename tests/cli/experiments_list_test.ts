/** `bowline experiments list` and `show`: the grids, and everything about one run. */
import assert from "node:assert/strict";
import { manifest, plan, preset } from "../../experiments/mod.ts";
import { assertMistake } from "./mistakes.ts";
import { Workspace } from "./program.ts";

/** What tests read of an entry. */
interface Entry {
  readonly name: string;
  readonly section: string;
  readonly architecture: string;
  readonly parameters: { readonly total: number; readonly experts: number };
  readonly published: { readonly loss: number | null } | null;
}

async function list(workspace: Workspace, ...args: string[]): Promise<Entry[]> {
  const { code, stdout, stderr } = await workspace.run("experiments", "list", ...args, "--json");
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

Deno.test("experiments list has the 43 runs of the ablation and the nano study's three seeds of 20", async () => {
  await using workspace = await Workspace.make();
  const ablation = await list(workspace, "--study", "ablation");
  const counts = Object.entries(Object.groupBy(ablation, ({ section }) => section)).map(([k, v]) => [k, v!.length]);
  assert.deepEqual(Object.fromEntries(counts), { fine: 18, coarse: 18, divisor: 6, dense: 1 });
  assert.equal(new Set(ablation.map(({ name }) => name)).size, 43, "no name twice");
  const nano = await list(workspace, "--study", "nano");
  assert.equal(nano.length, 60);
  assert.match(nano[19]!.name, /\/seed-1$/, "seeds outermost");
  assert.match(nano[20]!.name, /\/seed-2$/);
});

Deno.test("experiments list counts unique parameters: looped expert banks once", async () => {
  await using workspace = await Workspace.make();
  const fine = await list(workspace, "--study", "ablation", "--section", "fine");
  const named = (variant: string) => fine.find(({ name }) => name === `ablation/small/${variant}`)!;
  const [baseline, tied] = [named("baseline_32"), named("onegroup_32_experttie")];
  const difference = baseline.parameters.total - tied.parameters.total;
  assert.equal(difference, baseline.parameters.experts - tied.parameters.experts, "only experts are shared");
  assert.ok(tied.parameters.experts < baseline.parameters.experts);
  assert.equal(typeof baseline.published?.loss, "number");
});

Deno.test("experiments list filters, in JSON and in the table", async () => {
  await using workspace = await Workspace.make();
  const filter = ["--study", "main", "--architecture", "olmoe", "--section", "tiny"];
  const entries = await list(workspace, ...filter);
  assert.ok(entries.length > 0 && entries.every(({ name }) => name.startsWith("olmoe-tiny-")));
  const { stdout } = await workspace.run("experiments", "list", ...filter);
  const lines = stdout.trimEnd().split("\n");
  assert.equal(lines.at(-1), `${entries.length} runs`);
  for (const { name, parameters } of entries) {
    const [row, ...more] = lines.filter((line) => line.includes(` ${name} `));
    assert.deepEqual(more, []);
    assert.ok(row!.includes(parameters.total.toLocaleString("en-US")), row);
  }
});

Deno.test("experiments show has the whole manifest, the plan and what is published", async () => {
  await using workspace = await Workspace.make();
  const name = "ablation/small/fourgroups1_32_experttie";
  const json = JSON.parse((await workspace.run("experiments", "show", name, "--json")).stdout);
  assert.deepEqual(json.manifest, manifest(preset(name)));
  assert.deepEqual(json.plan, plan(preset(name)));
  assert.equal(json.entry.study, "ablation");
  const { stdout } = await workspace.run("experiments", "show", name);
  assert.match(stdout, /^parameters\n +total +[\d,]+/m);
  assert.match(
    stdout,
    new RegExp(`published \\(study ablation, section fine\\)\n +loss +${json.entry.published.loss}\n`),
  );
  assert.deepEqual(JSON.parse(stdout.slice(stdout.indexOf("\nmanifest\n") + "\nmanifest\n".length)), json.manifest);
});

Deno.test("experiments show takes a manifest's file, and says that nothing is published of it", async () => {
  await using workspace = await Workspace.make();
  const { code, stdout } = await workspace.run("experiments", "show", workspace.manifest);
  assert.equal(code, 0);
  assert.match(stdout, /^micro: olmoe, width 32/);
  assert.match(stdout, /published \(not part of a study\)\n +nothing\n/);
});

Deno.test("bowline experiments list and show refuse", async (t) => {
  await using workspace = await Workspace.make();
  const refuses = (name: string, args: string[], says: RegExp) =>
    t.step(name, () => assertMistake(workspace, ["experiments", ...args], says));
  await refuses("an unknown study", ["list", "--study", "ablations"], /ablations.*ablation, main, nano/);
  await refuses("an unknown architecture", ["list", "--architecture", "mamba"], /mamba.*vanilla/);
  await refuses("a section of another study", ["list", "--study", "main", "--section", "fine"], /fine.*tiny/);
  await refuses("an unknown variant", ["show", "ablation/small/fourgroups1_32_headtie"], /headtie/);
  await refuses("an unknown command", ["lst"], /lst.*list/);
  await refuses("an argument to list", ["list", "nano"], /too many arguments/);
});
