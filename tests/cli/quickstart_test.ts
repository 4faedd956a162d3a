/** The quick start on its real corpus, as far as it takes to see that it learns. */
import assert from "node:assert/strict";
import { corpusFiles } from "../../cli/corpus.ts";
import { Workspace } from "./program.ts";

Deno.test("corpusFiles() lists the installed texts in the order of their names", () => {
  const files = corpusFiles("sotu");
  assert.equal(files.length, 233);
  assert.deepEqual(files, files.toSorted());
  assert.throws(() => corpusFiles("none"), /none.*sotu/);
});

Deno.test("the quick start learns more than a bigram knows", async () => {
  await using workspace = await Workspace.make();
  const settings = ["--steps", "240", "--set", "eval.every=240", "--set", "checkpoint.every=240"];
  const { code, stderr } = await workspace.run("train", "quickstart", "--out", "run", "--quiet", ...settings);
  assert.equal(code, 0, stderr);
  const events = await workspace.events("run");
  const { data } = events.find((event) => event.type === "start") as unknown as { data: { bigramLoss: number } };
  const first = events.find((event) => event.type === "step")!;
  const { loss: heldOut } = events.findLast((event) => event.type === "eval") as unknown as { loss: number };
  assert.ok(Math.abs(Number(first["lm_loss"]) - Math.log(2048)) < 0.05, "it knows nothing at first");
  assert.ok(heldOut < data.bigramLoss, `${heldOut} held out, ${data.bigramLoss} by the bigram`);
});
