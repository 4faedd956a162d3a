/** The alarm for routers that collapse: when it warns, when it does not, and that a run records it. */
import assert from "node:assert/strict";
import { CollapseAlarm, type CollapseBounds } from "../../cli/run/alarm.ts";
import { Workspace } from "./program.ts";

const EXPERTS = 8;
const BOUNDS: CollapseBounds = { expertShare: 0.9, deadExperts: 1, steps: 3 };

/** The steps at which an alarm warns, given the largest share and the number of dead experts at each step. */
function warnings(steps: readonly (readonly [share: number, dead: number])[], bounds = BOUNDS): [number, string][] {
  const alarm = new CollapseAlarm(bounds, EXPERTS);
  return steps.flatMap(([share, dead], i) => {
    const step = i + 1;
    const event = { step, max_expert_share: share, dead_expert_share: dead / EXPERTS };
    return alarm.observe(event).map((message): [number, string] => [step, message]);
  });
}

const repeat = (count: number, share: number, dead: number) =>
  Array.from({ length: count }, () => [share, dead] as const);

Deno.test("the alarm warns once when an expert has had too large a share for as many steps as are too many", () => {
  const [warning, ...more] = warnings([...repeat(2, 0.5, 0), ...repeat(7, 0.95, 0)]);
  assert.deepEqual(more, []);
  assert.equal(warning![0], 5);
  assert.match(warning![1], /first choice of 0\.95 of the tokens.*step 5.*for 3 steps.*0\.9/);
});

Deno.test("the alarm warns of dead experts, which it counts per site", () => {
  const [warning, ...more] = warnings(repeat(5, 0.5, 2));
  assert.deepEqual(more, []);
  assert.equal(warning![0], 3);
  assert.match(warning![1], /2 of 8 experts.*step 3.*for 3 steps.*bound of 1/);
});

Deno.test("the alarm tolerates values at the bound, values that return in time, and NaN", () => {
  assert.deepEqual(warnings(repeat(9, 0.9, 1)), []);
  assert.deepEqual(warnings([0, 1, 2].flatMap(() => [...repeat(2, 0.95, 4), ...repeat(1, 0.5, 0)])), []);
  assert.deepEqual(warnings(repeat(9, NaN, NaN)), []);
});

Deno.test("the alarm warns again when a collapse comes back, and of both kinds at the same step", () => {
  const collapse = repeat(4, 0.95, 3);
  const steps = warnings([...collapse, [0.5, 0], ...collapse]).map(([step]) => step);
  assert.deepEqual(steps, [3, 3, 8, 8]);
});

Deno.test("a run records the warning once, and not again when it goes on", async () => {
  await using workspace = await Workspace.make();
  // Below what 8 experts can do, so that every step exceeds it.
  const settings = [
    "--set",
    "collapse.expertShare=0.1",
    "--set",
    "collapse.deadExperts=8",
    "--set",
    "collapse.steps=4",
  ];
  const { stderr } = await workspace.train("run", ...settings, "--steps", "10");
  assert.match(stderr, /^warning: routing collapses: .* at step 4/m);
  await workspace.train("run", ...settings, "--resume");
  const warnings = (await workspace.events("run")).filter((event) => event.type === "warning");
  assert.deepEqual(warnings.map(({ step }) => step), [4]);
  assert.match(String(warnings[0]!["message"]), /^routing collapses: /);
});

Deno.test("an evaluation records what the routers did", async () => {
  await using workspace = await Workspace.make();
  await workspace.train("run");
  const evaluation = (await workspace.events("run")).findLast((event) => event.type === "eval")!;
  for (const name of ["max_expert_share", "dead_expert_share", "agreement"]) {
    const value = Number(evaluation[name]);
    assert.ok(value >= 0 && value <= 1, `${name} ${value}`);
  }
  for (const name of ["routing_entropy", "imbalance", "balance", "z"]) {
    assert.ok(Number(evaluation[name]) > 0, `${name} ${evaluation[name]}`);
  }
  assert.equal(typeof evaluation["max_logit"], "number");
  assert.equal(typeof evaluation["set_agreement"], "number");
});
