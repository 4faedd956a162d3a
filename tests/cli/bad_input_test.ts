/** What a user can get wrong: each mistake is answered by one line that names it, exit code 2, and nothing written. */
import { assertMistake } from "./mistakes.ts";
import { stepFolder, words, Workspace } from "./program.ts";

/** A mistake in a command line that starts with `train MANIFEST --out run`. */
interface Mistake {
  readonly name: string;
  readonly args: readonly string[];
  readonly says: RegExp;
}

const SETTINGS: readonly Mistake[] = [
  { name: "an unknown key", args: ["--set", "model.widht=32"], says: /model\.widht.*model\.width/ },
  { name: "a mistyped value", args: ["--set", "model.width=wide"], says: /model\.width.*"wide".*integer/ },
  { name: "more experts per token than experts", args: ["--set", "model.topK=9"], says: /topK.*9.*8/ },
  { name: "a width that heads do not divide", args: ["--set", "model.heads=3"], says: /heads.*3.*32/ },
  { name: "heads that kvHeads do not divide", args: ["--set", "model.kvHeads=3"], says: /heads.*kvHeads/ },
  { name: "an odd head dim", args: ["--set", "model.headDim=15"], says: /headDim.*15.*even/ },
  { name: "a tie group of none", args: ["--tie", "0"], says: /groupSize.*0.*at least 1/ },
  { name: "an assignment without a value", args: ["--set", "model.width"], says: /path=value/ },
  { name: "an unknown option", args: ["--stepz", "3"], says: /--stepz.*--steps/ },
  { name: "an option that is no number", args: ["--steps", "ten"], says: /--steps.*ten.*integer/ },
  { name: "no steps", args: ["--steps", "0"], says: /--steps 0.*at least 1/ },
  { name: "more steps than the schedule has", args: ["--steps", "21"], says: /21.*20.*train\.steps=21/ },
  { name: "an unknown device", args: ["--device", "abacus"], says: /--device.*abacus.*cpu/ },
  { name: "an argument too many", args: ["another"], says: /too many arguments/ },
  { name: "a missing file", args: ["--data", "missing.txt"], says: /missing\.txt/ },
  { name: "an empty file", args: ["--data", "empty.txt"], says: /empty\.txt/ },
  { name: "a file that is not UTF-8", args: ["--data", "binary.txt"], says: /binary\.txt.*UTF-8/ },
  { name: "a file without a document of 50 characters", args: ["--data", "short.txt"], says: /50/ },
  {
    name: "a sequence longer than the data",
    args: ["--set", "train.seqLen=4000", "--data", "some.txt"],
    says: /4000|4001/,
  },
];

Deno.test("bowline train refuses", async (t) => {
  await using workspace = await Workspace.make();
  await Deno.writeTextFile(workspace.at("empty.txt"), "");
  await Deno.writeFile(workspace.at("binary.txt"), new Uint8Array(400).fill(0xff));
  await Deno.writeTextFile(workspace.at("short.txt"), "too short");
  await Deno.writeTextFile(workspace.at("some.txt"), words(600));
  const { manifest } = workspace;
  for (const { name, args, says } of SETTINGS) {
    await t.step(name, () => assertMistake(workspace, ["train", manifest, "--out", "run", ...args], says));
  }
  await t.step("an unknown preset", () => assertMistake(workspace, ["train", "nanoo"], /nanoo.*nano/));
  await t.step("a manifest that does not exist", () => assertMistake(workspace, ["train", "none.json"], /none\.json/));
  await t.step("no experiment", () => assertMistake(workspace, ["train"], /experiment/));
  await t.step("an unknown key in a file", async () => {
    const file = await workspace.write("wrong.json", { name: "wrong", modle: {} });
    await assertMistake(workspace, ["train", file], /modle.*model/);
  });
  await t.step("an unknown command", () => assertMistake(workspace, ["trian"], /trian.*train/));
});

Deno.test("bowline train refuses a folder that", async (t) => {
  await using workspace = await Workspace.make();
  await workspace.train("run", "--steps", "5");
  const train = ["train", workspace.manifest, "--out"];
  await t.step("holds a run", () => assertMistake(workspace, [...train, "run"], /run.*--resume.*--out/));
  await t.step("holds a run of another manifest", async () => {
    await assertMistake(workspace, [...train, "run", "--resume", "--seed", "7"], /train\.seed.*7.*42/);
  });
  await t.step("holds other files", async () => {
    await Deno.mkdir(workspace.at("other"));
    await workspace.write("other/file", 1);
    await assertMistake(workspace, [...train, "other"], /other files/);
  });
  await t.step("is a file", () => assertMistake(workspace, [...train, workspace.text], /file/));
});

Deno.test("bowline train --resume refuses a checkpoint that", async (t) => {
  await using workspace = await Workspace.make();
  await workspace.train("run", "--steps", "5");
  await workspace.train("other", "--steps", "5", "--tie", "1");
  const folder = (run: string) => workspace.at(run, "checkpoints", stepFolder(5));
  const model = `${folder("run")}/model.safetensors`;
  const state = `${folder("run")}/state.json`;
  const [bytes, json] = [await Deno.readFile(model), await Deno.readTextFile(state)];
  const assertRefused = (says: RegExp) =>
    assertMistake(workspace, ["train", workspace.manifest, "--out", "run", "--resume"], says);

  await t.step("is cut short", async () => {
    await Deno.writeFile(model, bytes.subarray(0, bytes.length - 100));
    await assertRefused(/step-00000005/);
  });
  await t.step("has one byte changed", async () => {
    const changed = bytes.slice();
    changed[changed.length - 40]! ^= 1;
    await Deno.writeFile(model, changed);
    await assertRefused(/step-00000005/);
  });
  await t.step("lacks a file", async () => {
    await Deno.remove(model);
    await assertRefused(/step-00000005/);
    await Deno.writeFile(model, bytes);
  });
  await t.step("has a newer format", async () => {
    // The first line is the checksum of the rest.
    const rest = json.slice(json.indexOf("\n") + 1).replace('"format": 1', '"format": 2');
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(rest));
    await Deno.writeTextFile(state, `{ "sha256": "${new Uint8Array(digest).toHex()}",\n${rest}`);
    await assertRefused(/format is 2.*newer/);
    await Deno.writeTextFile(state, json);
  });
  await t.step("is of another manifest", async () => {
    for (const { name } of Deno.readDirSync(folder("other"))) {
      await Deno.copyFile(`${folder("other")}/${name}`, `${folder("run")}/${name}`);
    }
    await assertRefused(/step-00000005/);
  });
});

Deno.test("bowline generate refuses", async (t) => {
  await using workspace = await Workspace.make();
  const generate = (...args: string[]) => ["generate", workspace.path, "--prompt", "ba", ...args];
  await t.step("a folder without a checkpoint", () => assertMistake(workspace, generate(), /no checkpoint/));
  await t.step(
    "a folder that does not exist",
    () => assertMistake(workspace, ["generate", "none", "--prompt", "ba"], /none.*no such folder/),
  );
  await t.step("no prompt", () => assertMistake(workspace, ["generate", workspace.path], /--prompt/));
  await t.step("a wrong top-p", () => assertMistake(workspace, generate("--top-p", "2"), /--top-p 2/));
  await t.step("a wrong temperature", () => assertMistake(workspace, generate("--temperature=-1"), /temperature/));
});
