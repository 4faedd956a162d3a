import assert from "node:assert/strict";
import { planReport } from "../../cli/plan.ts";
import { countParameters, nano, plan, preset, presets } from "../../experiments/mod.ts";
import { changed } from "./support.ts";

Deno.test("the report as JSON has counts, costs, banks and sites, all finite", () => {
  const p = plan(nano);
  const { json } = planReport(p);
  assert.deepEqual(
    Object.keys(json),
    ["name", "parameters", "memory", "fit", "flops", "bytes", "time", "banks", "sites"],
  );
  assert.deepEqual(json.parameters, countParameters(p));
  assert.deepEqual(JSON.parse(JSON.stringify(json)), json, "nothing is lost in JSON, so no number is infinite");
  assert.deepEqual([json.banks, json.sites], [p.banks, p.sites]);
});

Deno.test("the report for people names the parts and fits a terminal", () => {
  for (const input of presets) {
    const { text } = planReport(plan(input));
    for (const title of ["parameters", "banks", "sites", "memory", "FLOPs per token", "bytes", "time at 100 GFLOP/s"]) {
      assert.match(text, new RegExp(`^${title}$`, "m"));
    }
    for (const line of text.split("\n")) {
      assert.ok(line.length <= 100, line);
      assert.doesNotMatch(line, /NaN|undefined|Infinity|\s$/);
    }
  }
});

Deno.test("the report for people shows ties as runs of sites", () => {
  const { text } = planReport(plan(changed({ tie: { groupSize: 3 } })));
  assert.match(text, /experts\.1\s+1-3\n/);
  assert.match(text, /experts\.2\s+4\n/);
});

Deno.test("the speed given is the speed assumed", () => {
  const p = plan(preset("olmoe-tiny"));
  const [slow, fast] = [planReport(p, { gflops: 100 }), planReport(p, { gflops: 400 })];
  assert.equal(slow.json.time.stepSeconds, 4 * fast.json.time.stepSeconds);
  assert.match(fast.text, /time at 400 GFLOP\/s/);
});
