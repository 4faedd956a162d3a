/** From a checkpoint of another program to a run, and from its weights to a run of one's own. */
import assert from "node:assert/strict";
import {
  config,
  endText,
  numbered,
  type RawTensors,
  readTensors,
  tensorsOfConfig,
  writeShards,
  writeTensors,
} from "./foreign.ts";
import { tokenOf } from "../../cli/interop/read.ts";
import { ManifestError } from "../../experiments/mod.ts";
import { assertMistake } from "./mistakes.ts";
import { stepFolder, Workspace } from "./program.ts";

const END = 5;

/** Writes the small model into a folder of a workspace, with what differs. */
async function writeModel(
  workspace: Workspace,
  folder: string,
  change: { config?: Record<string, unknown>; tensors?: RawTensors; tokenizer?: string } = {},
): Promise<string> {
  await Deno.mkdir(workspace.at(folder), { recursive: true });
  await workspace.write(`${folder}/config.json`, { ...config, ...change.config });
  await writeTensors(workspace.at(folder, "model.safetensors"), change.tensors ?? tensorsOfConfig());
  if (change.tokenizer !== undefined) {
    await Deno.writeTextFile(workspace.at(folder, "tokenizer.json"), change.tokenizer);
  }
  return folder;
}

const model = (workspace: Workspace, run: string, step = 0) =>
  Deno.readFile(workspace.at(run, "checkpoints", stepFolder(step), "model.safetensors"));

Deno.test("bowline import makes a run folder that plan and generate use", async (t) => {
  await using workspace = await Workspace.make();
  const tokenizer = numbered(320, END);
  await writeModel(workspace, "My Model", { config: { eos_token_id: END }, tokenizer });
  const { code, stdout, stderr } = await workspace.run("import", "My Model", "--out", "run");
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  assert.match(stdout, /^run: olmoe, 15\.\dK parameters of 45 tensors in F32, at step 0\n$/);
  assert.deepEqual(
    [...Deno.readDirSync(workspace.at("run"))].map((entry) => entry.name).sort(),
    ["checkpoints", "environment.json", "manifest.json", "plan.json", "tokenizer.json"],
  );
  await t.step("with a complete manifest", async () => {
    const { name, data, train } = JSON.parse(await Deno.readTextFile(workspace.at("run", "manifest.json")));
    assert.equal(name, "My-Model");
    assert.deepEqual(data.tokenizer, { kind: "file", path: workspace.at("run", "tokenizer.json") });
    assert.equal(data.separator, endText(END));
    assert.equal(train.seqLen, 64, "no longer than the model can");
  });
  await t.step("whose plan is the checkpoint's", async () => {
    const { stdout } = await workspace.run("plan", "run/manifest.json", "--json");
    const plan = JSON.parse(await Deno.readTextFile(workspace.at("run", "plan.json")));
    assert.deepEqual(JSON.parse(stdout).banks, plan.banks);
    const state = await Deno.readTextFile(workspace.at("run", "checkpoints", stepFolder(0), "state.json"));
    assert.deepEqual(JSON.parse(JSON.parse(state).plan), plan);
  });
  await t.step("and with text", async () => {
    const { code, stdout } = await workspace.run("generate", "run", "--prompt", "t1 t2", "--tokens", "5");
    assert.equal(code, 0);
    assert.match(stdout, /^t1 t2t\d+/);
  });
  await t.step("--json prints what was read", async () => {
    const { stdout } = await workspace.run("import", "My Model", "--out", "again", "--json");
    const { family, hasTokenizer, form, dtypes, tensors } = JSON.parse(stdout);
    assert.deepEqual([family, hasTokenizer, form, dtypes, tensors], ["olmoe", true, "per-expert", ["F32"], 45]);
    assert.deepEqual(await model(workspace, "again"), await model(workspace, "run"));
  });
});

Deno.test("bowline train --from starts with the weights of a checkpoint", async (t) => {
  await using workspace = await Workspace.make();
  await writeModel(workspace, "in");
  const { code, stderr } = await workspace.run("import", "in", "--out", "imported");
  assert.equal(code, 0);
  assert.match(stderr, /^warning: in has no tokenizer\.json: [^\n]+data\.tokenizer[^\n]+\n$/);
  const settings = ["lr=0.003", "warmupSteps=2", "batch=4", "accumulation=1", "seqLen=16"].map((s) => `train.${s}`);
  const set = ['data.tokenizer={"kind":"bytes"}', "eval.batches=2", ...settings].flatMap((s) => ["--set", s]);
  const train = async (out: string, ...args: string[]) => {
    const command = ["train", "imported/manifest.json", "--data", workspace.text, ...set, "--out", out, ...args];
    const { code, stderr } = await workspace.run(...command);
    assert.equal(code, 0, stderr);
  };
  await train("run", "--from", "imported", "--steps", "20");
  const events = await workspace.events("run");

  await t.step("which it keeps as step 0 and says where they come from", async () => {
    assert.deepEqual(workspace.checkpoints("run"), [stepFolder(0), stepFolder(20)]);
    assert.deepEqual(await model(workspace, "run"), await model(workspace, "imported"));
    assert.equal(events[0]!["from"], workspace.at("imported", "checkpoints", stepFolder(0)));
  });
  await t.step("and lowers the loss", () => {
    const losses = events.filter(({ type }) => type === "step").map((event) => Number(event["lm_loss"]));
    assert.equal(losses.length, 20);
    assert.ok(losses[19]! < losses[0]! - 0.5, `${losses}`);
  });
  await t.step("in two parts as in one", async () => {
    await train("parts", "--from", "imported", "--steps", "8");
    await train("parts", "--resume", "--steps", "20");
    assert.deepEqual(await workspace.tensors("parts", 20), await workspace.tensors("run", 20));
  });
  await t.step("from a trained run as well, however long its schedule is", async () => {
    await train("more", "--from", `run/checkpoints/${stepFolder(20)}`, "--steps", "1", "--set", "train.steps=3");
    assert.deepEqual(await model(workspace, "more"), await model(workspace, "run", 20));
  });
  await t.step("and refuses other models, runs that go on and folders without a checkpoint", async () => {
    const command = ["train", "imported/manifest.json", "--data", workspace.text, ...set, "--out", "wrong"];
    const refused = (says: RegExp, ...args: string[]) => assertMistake(workspace, [...command, ...args], says);
    await refused(
      /imported\/checkpoints\/step-00000000: it is of another model: banks\.experts\.0\.shape\.F is 8 there and 9 here/,
      ...["--from", "imported", "--set", "model.expertWidth=9"],
    );
    await refused(/banks\.experts\.1 is \{.*\} there and missing here/, "--from", "imported", "--tie", "2");
    await refused(/Cannot use --from with --resume/, "--from", "imported", "--resume");
    await refused(/Cannot find a checkpoint at in/, "--from", "in");
  });
});

Deno.test("bowline import refuses", async (t) => {
  await using workspace = await Workspace.make();
  const tensors = tensorsOfConfig();
  const NORM = "model.norm.weight";
  const refused = (name: string, says: RegExp, write: () => Promise<unknown>, ...args: string[]) =>
    t.step(name, async () => {
      await write();
      await assertMistake(workspace, ["import", "in", "--out", "run", ...args], says);
      await Deno.remove(workspace.at("in"), { recursive: true });
    });
  const changed = (change: (tensors: RawTensors) => void) => {
    const copy = new Map(tensors);
    change(copy);
    return writeModel(workspace, "in", { tensors: copy });
  };
  const bytes = async (change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>) => {
    await writeModel(workspace, "in");
    const path = workspace.at("in", "model.safetensors");
    await Deno.writeFile(path, change(await Deno.readFile(path)));
  };
  const file = async (name: string, text: string) => {
    await writeModel(workspace, "in");
    await Deno.writeTextFile(workspace.at("in", name), text);
  };

  await refused("a folder without a config", /in: it has no config\.json/, () => Deno.mkdir(workspace.at("in")));
  await refused("a config that is not JSON", /config\.json: it is not JSON/, () => file("config.json", "{"));
  await refused(
    "a config that is no object",
    /Cannot use config\.json: 3, wanted an object/,
    () => file("config.json", "3"),
  );
  await refused(
    "an option that is missing here",
    /Cannot use hidden_act: "gelu", wanted "silu".*in\/config\.json/,
    () => writeModel(workspace, "in", { config: { hidden_act: "gelu" } }),
  );
  await refused(
    "a missing tensor",
    /has no tensor model\.norm\.weight, wanted one of shape \[16\]/,
    () => changed((tensors) => tensors.delete(NORM)),
  );
  await refused(
    "a surplus tensor",
    /has a tensor model\.extra of shape \[16\], which/,
    () => changed((tensors) => tensors.set("model.extra", tensors.get(NORM)!)),
  );
  await refused(
    "a wrong shape",
    /tensor model\.norm\.weight has shape \[4, 4\], wanted \[16\]/,
    () => changed((tensors) => tensors.set(NORM, { ...tensors.get(NORM)!, shape: [4, 4] })),
  );
  await refused(
    "a wrong type",
    /tensor model\.norm\.weight is in I32, wanted F32, BF16 or F16/,
    () => changed((tensors) => tensors.set(NORM, { ...tensors.get(NORM)!, dtype: "I32" })),
  );
  await refused(
    "a file that is cut",
    /its header says that \d+ bytes follow, \d+ do/,
    () => bytes((all) => all.slice(0, -9)),
  );
  await refused(
    "a header that is cut",
    /it says that its header has \d+ bytes, the file has 100/,
    () => bytes((all) => all.slice(0, 100)),
  );
  await refused("a header that lies", /invalid offset for tensor/, () =>
    bytes((all) => {
      // The first tensor with two numbers that are equal to its end: another one's place.
      const text = new TextDecoder("latin1").decode(all);
      const at = text.indexOf('"data_offsets":[0,');
      all[at + '"data_offsets":['.length] = "4".charCodeAt(0);
      return all;
    }));
  await refused(
    "an index of a missing file",
    /index\.json: it names the file "model-00002-of-00002\.safetensors", which is missing/,
    async () => {
      await writeModel(workspace, "in");
      await Deno.remove(workspace.at("in", "model.safetensors"));
      await writeShards(workspace.at("in"), tensors);
      await Deno.remove(workspace.at("in", "model-00002-of-00002.safetensors"));
    },
  );
  const withTokenizer = (tokenizer: string, eos_token_id: number | null = END) =>
    writeModel(workspace, "in", { tokenizer, config: { eos_token_id } });
  await refused("a tokenizer that is none", /tokenizer\.json/, () => withTokenizer('{"model":{"vocab":{"x":5}}}'));
  await refused(
    "a tokenizer of more tokens",
    /321 tokens, the model's vocabulary only 320/,
    () => withTokenizer(numbered(321, END)),
  );
  await refused(
    "an end that is no token",
    /eos_token_id is 999, which is no token, wanted --separator/,
    () => withTokenizer(numbered(320, END), 999),
  );
  await refused(
    "no end",
    /eos_token_id is missing, wanted --separator TEXT.*tokenizer\.json/,
    () => withTokenizer(numbered(320, END), null),
  );
  await refused("a separator that is no token", /<no>/, () => withTokenizer(numbered(320, END)), "--separator", "<no>");
  await t.step("a folder that exists", async () => {
    await writeModel(workspace, "in");
    await Deno.mkdir(workspace.at("run"));
    await assertMistake(
      workspace,
      ["import", "in", "--out", "run"],
      /Cannot import into .*run: it exists, wanted a new folder/,
    );
  });
  await t.step("no --out", () => assertMistake(workspace, ["import", "in"], /--out/));
  await t.step(
    "a folder that is not there",
    () => assertMistake(workspace, ["import", "none", "--out", "x"], /none: it has no config\.json/),
  );
});

Deno.test("bowline generate says that a run imported without a tokenizer has none", async () => {
  await using workspace = await Workspace.make();
  await writeModel(workspace, "in");
  await workspace.run("import", "in", "--out", "run");
  await assertMistake(workspace, ["generate", "run", "--prompt", "ba"], /it has no tokenizer: .*imported without one/);
  const loaded = await readTensors(workspace.at("run", "checkpoints", stepFolder(0), "model.safetensors"));
  assert.equal(loaded.size, 25, "it is a checkpoint all the same");
});

Deno.test("tokenOf() finds a token wherever a tokenizer.json has it, and refuses any other JSON", () => {
  const added_tokens = [{ id: 7, content: "<end>" }];
  assert.equal(tokenOf({ added_tokens, model: { vocab: { a: 0 } } }, 7), "<end>");
  assert.equal(tokenOf({ added_tokens: [], model: { vocab: { a: 0, b: 7 } } }, 7), "b");
  assert.equal(tokenOf({ model: { vocab: [["<unk>", 0], ["</s>", -1.5]] } }, 1), "</s>");
  const junk: unknown[] = [
    ...[null, 3, "text", true, [], {}, { model: 3 }, { model: { vocab: "text" } }, { model: { vocab: null } }],
    ...[{ added_tokens: "text" }, { added_tokens: [null, 5, { id: 7 }, { id: 7, content: 7 }] }],
    ...[{ model: { vocab: [null, [], 5, [7], [""]] } }, { model: { vocab: { "": 7 } } }],
  ];
  for (const json of junk) {
    for (const id of [null, 0, 3, 4, 7]) {
      const isRefused = (error: unknown) => error instanceof ManifestError && /^Cannot [^\n]+$/.test(error.message);
      assert.throws(() => tokenOf(json, id), isRefused, `${id} of ${JSON.stringify(json)}`);
    }
  }
});
