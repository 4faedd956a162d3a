import assert from "node:assert/strict";
import { loadManifest, manifest, nano } from "../../experiments/mod.ts";
import { assign, parseAssignment } from "../../experiments/set.ts";
import { refuses, small } from "./support.ts";

Deno.test("a preset loads as its manifest", async () => {
  assert.deepEqual(await loadManifest("nano"), manifest(nano));
});

Deno.test("overrides reach the keys they stand for, and --set has the last word", async () => {
  const m = await loadManifest("nano", { tie: 2, expand: 32, seed: 7, set: ["tie.groupSize=4", "train.lr=0.5"] });
  assert.deepEqual([m.tie.groupSize, m.tie.expand, m.train.seed, m.train.lr], [4, 32, 7, 0.5]);
});

Deno.test("--data takes the place of the corpus and holds out a tail", async () => {
  const m = await loadManifest("nano", { data: ["a.txt", "b.txt"] });
  assert.deepEqual([m.data.corpus, m.data.files], [null, ["a.txt", "b.txt"]]);
  assert.deepEqual(m.data.heldOut, { kind: "tail", fraction: 0.05 });
});

Deno.test("what follows from a key follows when --set changes it", async () => {
  const { model } = await loadManifest("nano", { set: ["model.heads=8", "model.family=qwen3"] });
  assert.deepEqual([model.kvHeads, model.headDim, model.qkNorm, model.clamp], [8, 16, "head", null]);
  await refuses(() => loadManifest("nano", { set: ["model.heads=3"] }), "model.heads: 3", "a divisor of model.width");
});

Deno.test("--set takes JSON or bare text, a whole section or a key that is not there yet", () => {
  const value = (text: string) => parseAssignment(text).value;
  assert.equal(value("train.steps=5"), 5);
  assert.equal(value("train.tiedLrDivisor=linear"), "linear");
  assert.equal(value("name=a=b"), "a=b");
  assert.equal(value("tie.expand=null"), null);
  assert.deepEqual(value('data.files=["a b.txt"]'), ["a b.txt"]);
  assert.deepEqual(assign({ name: "x" }, [{ path: "optimizer.muon.momentum", value: 0.9 }]), {
    name: "x",
    optimizer: { muon: { momentum: 0.9 } },
  });
});

Deno.test("--set leaves the experiment as it was", () => {
  const before = structuredClone(nano);
  assign(nano, [{ path: "model.width", value: 4 }]);
  assert.deepEqual(nano, before);
});

Deno.test("--set refuses what is no assignment or no key", async () => {
  const set = (...texts: string[]) => loadManifest("nano", { set: texts });
  await refuses(() => set("train.steps"), "train.steps", "path=value");
  await refuses(() => set("=5"), "=5", "path=value");
  await refuses(() => set("train.step=5"), "train.step: unknown key", "train.steps");
  await refuses(() => set("optimizer.adam.beta1=0"), "optimizer.adam.beta1", "optimizer.adamw.beta1");
  await refuses(() => set("__proto__.steps=5"), "__proto__.steps", "train.steps");
  await refuses(() => set("tie=5", "tie.groupSize=2"), "tie.groupSize: tie is 5", "an object");
  await refuses(() => set("train.steps=many"), 'train.steps: "many"', "an integer of at least 1");
});

Deno.test("a .json file holds a manifest, short or complete", async () => {
  await inFolder({ "m.json": JSON.stringify(small), "c.json": JSON.stringify(manifest(small)) }, async (path) => {
    assert.deepEqual(await loadManifest(path("m.json")), manifest(small));
    assert.deepEqual(await loadManifest(path("c.json")), manifest(small));
  });
});

Deno.test("a .ts file exports a manifest, by default or as its only one", async () => {
  const code = JSON.stringify(small);
  const files = {
    "named.ts": `export const mine = ${code};\nexport const other = 5;`,
    "both.ts": `export const one = { model: {} };\nexport default ${code};`,
    "two.ts": `export const one = ${code};\nexport const two = ${code};`,
    "none.ts": `export const five = 5;`,
    "broken.ts": `throw new Error("at the top");`,
  };
  await inFolder(files, async (path) => {
    for (const file of ["named.ts", "both.ts"]) {
      assert.equal((await loadManifest(path(file), { tie: 4 })).tie.groupSize, 4, file);
    }
    await refuses(() => loadManifest(path("two.ts")), "exports one, two", "one manifest or a default");
    await refuses(() => loadManifest(path("none.ts")), "exports no manifest", "one manifest or a default");
    await refuses(() => loadManifest(path("broken.ts")), "at the top", "a manifest");
  });
});

Deno.test("a file that is missing or no manifest is refused", async () => {
  await inFolder({ "cut.json": '{"name": "x",', "number.json": "5", "list.json": "[]" }, async (path) => {
    await refuses(() => loadManifest(path("gone.json")), "gone.json: no such file", "a manifest");
    await refuses(() => loadManifest(path("gone.ts")), "gone.ts: no such file", "a manifest");
    await refuses(() => loadManifest(path("cut.json")), "cut.json", "a manifest");
    await refuses(() => loadManifest(path("number.json")), "the manifest: 5", "an object");
    await refuses(() => loadManifest(path("list.json")), "the manifest: []", "an object");
    await refuses(() => loadManifest(path("number.json"), { tie: 2 }), "the manifest: 5", "an object");
  });
});

async function inFolder(files: Record<string, string>, run: (path: (name: string) => string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder}/${name}`, text);
    await run((name) => `${folder}/${name}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
