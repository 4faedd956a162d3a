/** Requests and metrics of whole data sets against what lm-evaluation-harness 0.4.13 made of the same rows. */
import assert from "node:assert/strict";
import { aggregate, measure, metricsOf } from "../../experiments/harness/metrics.ts";
import { requestsHash } from "../../experiments/harness/hash.ts";
import { TASKS } from "../../experiments/tasks/mod.ts";
import { sharedFolder } from "../shared.ts";
import { hashScores, sharedQuestions } from "./rows.ts";

const folder = sharedFolder("data/eval");
if (folder !== null) {
  const read = (name: string) => JSON.parse(Deno.readTextFileSync(`${folder}/${name}`));
  const prompts = read("golden_prompts.json");
  const { results } = read("harness_results.json");
  for (const [key, golden] of Object.entries<Record<string, unknown>>(prompts)) {
    const [name, shots] = key.split("|") as [string, string];
    Deno.test(`the harness and we agree on ${name}, ${shots}`, async () => {
      const task = TASKS.find((task) => task.name === name)!;
      const all = sharedQuestions(folder, task, Number.parseInt(shots));
      assert.equal(all.length, golden.n_docs);
      assert.equal(all.flatMap(({ requests }) => requests).length, golden.n_requests);
      assert.deepEqual(all[0]!.requests.slice(0, 2), (golden.doc0 as unknown[]).slice(0, 2));
      assert.equal(requestsHash(all), golden.sha256_of_compact_json_requests);
      const measures = all.map((question) => measure(task, question, hashScores(question)));
      for (const metric of metricsOf(task)) {
        const { value } = await aggregate(metric, measures.map((one) => one[metric]!), 0, async () => {});
        assert.equal(value, results[`${name} ${shots}`][`${metric},none`], metric);
      }
      assert.ok(metricsOf(task).length === (name === "winogrande" ? 1 : 2));
    });
  }
  assert.equal(Object.keys(prompts).length, 15);
}
