/** Real checkpoints of Hugging Face transformers: imported, they compute what they compute there. */
import assert from "node:assert/strict";
import { join } from "@std/path";
import { type Plan, Trainer } from "@bowline/bowline";
import { Tensors } from "../parity/safetensors.ts";
import { sharedFolder } from "../shared.ts";
import { endText, fused, numbered, readTensors, writeShards, writeTensors } from "./foreign.ts";
import { stepFolder, Workspace } from "./program.ts";

const golden = sharedFolder("golden/hf");

const FAMILIES = ["olmoe", "olmoe_gqa_renorm", "qwen3_moe", "qwen3_moe_mixed_dense", "mixtral"];

/**
 * Largest difference over the largest wanted value; what is not finite fails. Measured are at most 2e-6, which is f32 in
 * another order of summation; a wrong eps alone gives 1e-4, which the 2e-4 that would be enough does not see.
 */
const TOLERANCE = 2e-5;

function assertClose(got: ArrayLike<number>, want: Float32Array, what: string): void {
  assert.equal(got.length, want.length, what);
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  want.forEach((value, i) => {
    const error = Math.abs(got[i]! - value) / largest;
    assert.ok(error <= TOLERANCE, `${what}[${i}]: ${got[i]} where ${value} was wanted, ${error} of the largest`);
  });
}

function argmax(values: Float32Array): number {
  return values.reduce((best, value, i) => value > values[best]! ? i : best, 0);
}

/** Imports a folder of the workspace and returns the checkpoint's folder. */
async function imported(workspace: Workspace, folder: string, out: string, ...args: string[]): Promise<string> {
  const { code, stderr } = await workspace.run("import", folder, "--out", out, ...args);
  assert.equal(code, 0, stderr);
  return workspace.at(out, "checkpoints", stepFolder(0));
}

for (const family of FAMILIES) {
  Deno.test(`bowline import: ${family}`, { ignore: golden === null }, async (t) => {
    await using workspace = await Workspace.make();
    const source = join(golden!, family);
    const expected = new Tensors(await Deno.readFile(join(source, "expected.safetensors")));
    const tensors = await readTensors(join(source, "model.safetensors"));
    const tokens = expected.i32("input_ids").values;
    const greedy = expected.i32("greedy_ids").values;
    const prompt = expected.i32("prompt_ids").values;
    const logits = expected.f32("logits").values;
    const [batch, length, vocab] = expected.shape("logits") as [number, number, number];
    const end = prompt[0]!;

    /** A folder with the config, and other files by `write`. */
    const folder = async (name: string, write: (path: string) => Promise<void>) => {
      await Deno.mkdir(workspace.at(name));
      await Deno.copyFile(join(source, "config.json"), workspace.at(name, "config.json"));
      await write(workspace.at(name));
      return name;
    };
    const plain = await folder("plain", async (path) => {
      await Deno.copyFile(join(source, "model.safetensors"), join(path, "model.safetensors"));
      await Deno.writeTextFile(join(path, "tokenizer.json"), numbered(vocab, end));
    });
    const checkpoint = await imported(workspace, plain, "run", "--separator", endText(end));
    const plan: Plan = JSON.parse(await Deno.readTextFile(workspace.at("run", "plan.json")));
    const train = { ...plan.train, batch, accumulation: 1, seqLen: length - 1 };
    using trainer = new Trainer({ ...plan, train });
    await trainer.loadWeights(checkpoint);

    await t.step("logits", async () => {
      for (let row = 0; row < batch; row++) {
        const got = await trainer.logits(tokens.slice(row * length, (row + 1) * length));
        const size = length * vocab;
        assertClose(got, logits.subarray(row * size, (row + 1) * size), `row ${row}`);
      }
    });
    await t.step("mean next-token loss, by the forward pass of training", async () => {
      const { evalLoss, evalTokens } = await trainer.evaluateTokens(tokens);
      assert.equal(evalTokens, batch * (length - 1));
      assertClose([evalLoss], expected.f32("loss").values, "loss");
    });
    await t.step("24 greedy tokens", async () => {
      assert.equal(greedy.length, prompt.length + 24);
      const got = await trainer.logits(greedy);
      for (let at = prompt.length; at < greedy.length; at++) {
        assert.equal(argmax(got.subarray((at - 1) * vocab, at * vocab)), greedy[at], `token ${at}`);
      }
    });
    await t.step("bowline generate", async () => {
      const words = [...prompt.subarray(1)].map((id) => `t${id}`).join(" ");
      const args = ["--prompt", words, "--temperature", "0", "--tokens", "24", "--json"];
      const { code, stdout, stderr } = await workspace.run("generate", "run", ...args);
      assert.equal(code, 0, stderr);
      const text: string = JSON.parse(stdout).text;
      // The token that ends a document ends the text, too.
      const wanted = [...greedy.subarray(prompt.length)];
      const ended = wanted.includes(end) ? wanted.slice(0, wanted.indexOf(end)) : wanted;
      assert.deepEqual([...text.matchAll(/t(\d+)/g)].map((match) => Number(match[1])), ended);
    });
    await t.step("the same bytes from fused tensors and from two files", async () => {
      const model = (out: string) => Deno.readFile(join(out, "model.safetensors"));
      const want = await model(checkpoint);
      const forms = {
        fused: await folder("fused", (path) => writeTensors(join(path, "model.safetensors"), fused(tensors))),
        shards: await folder("shards", (path) => writeShards(path, tensors)),
        both: await folder("both", (path) => writeShards(path, fused(tensors))),
      };
      for (const [name, form] of Object.entries(forms)) {
        assert.deepEqual(await model(await imported(workspace, form, `${name}-run`)), want, name);
      }
    });
  });
}

const REFUSED: Readonly<Record<string, RegExp>> = {
  qwen2_moe: /model_type qwen2_moe: it needs shared experts/,
  deepseek_v2: /model_type deepseek_v2: it needs latent attention and shared experts/,
  deepseek_v3: /model_type deepseek_v3: it needs latent attention, shared experts and sigmoid routing/,
};

for (const [family, says] of Object.entries(REFUSED)) {
  Deno.test(`bowline import refuses ${family}`, { ignore: golden === null }, async () => {
    await using workspace = await Workspace.make();
    const { code, stderr } = await workspace.run("import", join(golden!, family), "--out", "run");
    assert.equal(code, 2);
    assert.match(stderr, /^error: Cannot [^\n]+\n$/);
    assert.match(stderr, says);
    await assert.rejects(Deno.stat(workspace.at("run")), Deno.errors.NotFound);
  });
}
