/** Text by a trained model. */
import assert from "node:assert/strict";
import { stepFolder, Workspace } from "./program.ts";

Deno.test("bowline generate", async (t) => {
  await using workspace = await Workspace.make();
  await workspace.train("run");
  const generate = async (run: string, ...args: string[]) => {
    const { code, stdout, stderr } = await workspace.run(
      "generate",
      run,
      "--prompt",
      "ba ke",
      "--tokens",
      "12",
      ...args,
    );
    assert.equal(code, 0, stderr);
    return stdout;
  };

  await t.step("prints the prompt and its continuation", async () => {
    assert.match(await generate("run"), /^ba ke.+\n$/s);
  });
  await t.step("gives the same text for the same seed, and another for another", async () => {
    assert.equal(await generate("run", "--seed", "3"), await generate("run", "--seed", "3"));
    assert.notEqual(await generate("run", "--seed", "3"), await generate("run", "--seed", "4"));
  });
  await t.step("is greedy at temperature 0, whatever the seed", async () => {
    assert.equal(
      await generate("run", "--temperature", "0", "--seed", "3"),
      await generate("run", "--temperature", "0", "--seed", "4"),
    );
  });
  await t.step("takes the newest checkpoint of a run, or the one it is given", async () => {
    const checkpoint = (step: number) => workspace.at("run", "checkpoints", stepFolder(step));
    assert.equal(await generate("run"), await generate(checkpoint(20)));
    assert.notEqual(await generate("run"), await generate(checkpoint(10)));
  });
  await t.step("prints the same as JSON", async () => {
    const { prompt, text, tokens } = JSON.parse(await generate("run", "--json"));
    assert.equal(`${prompt}${text}\n`, await generate("run"));
    assert.equal(tokens, 12);
  });
});
