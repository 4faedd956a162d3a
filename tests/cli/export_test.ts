/** From a run to a folder for transformers, and back. */
import assert from "node:assert/strict";
import { join } from "@std/path";
import { type Plan, SITE_PARTS } from "@bowline/bowline";
import { bytesOf } from "../../cli/export.ts";
import { MODELS, succeed, trained } from "./exported.ts";
import { type RawTensors, readTensors } from "./foreign.ts";
import { assertMistake } from "./mistakes.ts";
import { micro, stepFolder, Workspace } from "./program.ts";

const plan = async (workspace: Workspace, run: string): Promise<Plan> =>
  JSON.parse(await Deno.readTextFile(workspace.at(run, "plan.json")));

const json = async (...path: string[]) => JSON.parse(await Deno.readTextFile(join(...path)));

/** Imports an exported folder and returns the file of its model. */
async function imported(workspace: Workspace, folder: string, out: string): Promise<string> {
  await succeed(workspace, "import", folder, "--out", out);
  return workspace.at(out, "checkpoints", stepFolder(0), "model.safetensors");
}

/** Pairs of a tensor of an untied import and the one that it must equal: for each site, those of the banks that it uses. */
function* pairs(untied: Plan, tied: Plan, names: Iterable<string>): Generator<[string, string]> {
  const banks = new Map<string, string>([["embedding", "embedding"], ["head", "head"], ["final_norm", "final_norm"]]);
  untied.sites.forEach((site, n) => {
    for (const part of SITE_PARTS) if (site[part] !== null) banks.set(site[part], tied.sites[n]![part]!);
  });
  for (const name of names) {
    const at = name.lastIndexOf(".");
    yield [name, banks.get(name.slice(0, at))! + name.slice(at)];
  }
}

/** Bytes of f32 numbers, each rounded to the nearest bf16, ties to even. */
function rounded(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const bits = new Uint32Array(bytes.slice().buffer);
  return new Uint8Array(bits.map((x) => (x + 0x7fff + ((x >>> 16) & 1)) & 0xffff0000).buffer);
}

function assertSame(got: RawTensors, want: RawTensors, names: Iterable<[string, string]>, change = same): void {
  let count = 0;
  for (const [name, source] of names) {
    assert.deepEqual(got.get(name)!.bytes, change(want.get(source)!.bytes), `${name} of ${source}`);
    count++;
  }
  assert.equal(count, got.size);
}

function same(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes;
}

/** What a plan says of the model alone. */
function architecture({ model, banks, sites }: Plan) {
  const shapes = banks.map(({ id, kind, shape, options, uses }) => {
    const { muonSlices: _, ...rest } = { muonSlices: null, ...options };
    return { id, kind, shape, options: rest, uses };
  });
  return { model, banks: shapes, sites };
}

for (const [name, { family }] of Object.entries(MODELS)) {
  Deno.test(`bowline export: ${name}`, async (t) => {
    await using workspace = await Workspace.make();
    const checkpoint = await trained(workspace, name);
    const tied = await plan(workspace, name);
    const original = await readTensors(join(checkpoint, "model.safetensors"));

    await t.step("compact, it comes back with its sharing, to the byte", async () => {
      const says = await succeed(workspace, "export", name, "--format", "hf-compact", "--out", "compact");
      assert.match(says, /^compact: bowline, [\d.]+K parameters in \d+ tensors \(f32, [\d.]+K bytes\), of step 3; /);
      const file = await imported(workspace, "compact", "from-compact");
      assert.deepEqual(await Deno.readFile(file), await Deno.readFile(join(checkpoint, "model.safetensors")));
      assert.deepEqual(architecture(await plan(workspace, "from-compact")), architecture(tied));
      const exported = await readTensors(workspace.at("compact", "model.safetensors"));
      const count = (tensors: RawTensors) => [...tensors.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
      assert.equal(count(exported), count(original), "each bank once");
      const bytes = await Deno.readFile(workspace.at("compact", "tokenizer.json"));
      assert.deepEqual(bytes, await Deno.readFile(join(checkpoint, "tokenizer.json")));
    });
    if (family === null) {
      await t.step("expanded, it is refused", () =>
        assertMistake(
          workspace,
          ["export", name, "--out", "out"],
          /Cannot export widened as olmoe: its sites have 8 and 16 experts, wanted one number for all; the compact form/,
        ));
      return;
    }
    await t.step("expanded, every site has the numbers of its banks", async () => {
      const printed = JSON.parse(await succeed(workspace, "export", checkpoint, "--out", "expanded", "--json"));
      assert.deepEqual([printed.family, printed.format, printed.dtype, printed.step], [family, "hf", "f32", 3]);
      const file = await imported(workspace, "expanded", "from-expanded");
      const untied = await plan(workspace, "from-expanded");
      const tensors = await readTensors(file);
      assertSame(tensors, original, pairs(untied, tied, tensors.keys()));
      assert.ok(untied.banks.every((bank) => bank.uses === 1 || bank.id === "embedding"));
    });
    await t.step("and exported again it is the same, file by file", async () => {
      const says = await succeed(workspace, "export", "from-expanded", "--out", "again");
      const files = says.trim().split("; ")[1]!.split(", ");
      assert.deepEqual(files, [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
      ]);
      for (const file of files.filter((file) => file !== "config.json")) {
        const bytes = (folder: string) => Deno.readFile(workspace.at(folder, file));
        assert.deepEqual(await bytes("again"), await bytes("expanded"), file);
      }
      const config = async (folder: string) => ({
        ...await json(workspace.at(folder), "config.json"),
        pad_token_id: 0,
      });
      assert.deepEqual(await config("again"), await config("expanded"), "but for pad_token_id, which import leaves");
    });
    await t.step("in bf16 and several files, it comes back rounded", async () => {
      const args = ["--dtype", "bf16", "--shard-size", "40KB", "--json"];
      const { files } = JSON.parse(await succeed(workspace, "export", name, "--out", "rounded", ...args));
      assert.match(`${files}`, /,model-00002-of-000\d\d\.safetensors,.*,model\.safetensors\.index\.json,/);
      const tensors = await readTensors(await imported(workspace, "rounded", "from-rounded"));
      const untied = await plan(workspace, "from-rounded");
      assertSame(tensors, original, pairs(untied, tied, tensors.keys()), rounded);
    });
  });
}

Deno.test("bowline export refuses, with nothing written", async (t) => {
  await using workspace = await Workspace.make();
  await workspace.train("run", "--steps", "5");
  const refused = (name: string, says: RegExp, ...args: string[]) =>
    t.step(name, () => assertMistake(workspace, ["export", ...args], says));
  await refused("no checkpoint", /Cannot find a checkpoint at none/, "none", "--out", "out");
  await refused(
    "a format that is none",
    /--format.*'gguf' is invalid.*"hf", "hf-compact"/,
    "run",
    "--out",
    "out",
    "--format",
    "gguf",
  );
  await refused(
    "a type that is none",
    /--dtype.*'f16' is invalid.*"f32", "bf16"/,
    "run",
    "--out",
    "out",
    "--dtype",
    "f16",
  );
  await refused(
    "a size that is none",
    /Cannot use --shard-size 5: wanted a size such as 500MB or 5GB/,
    ...["run", "--out", "out", "--shard-size", "5"],
  );
  await Deno.mkdir(workspace.at("there"));
  await refused(
    "a folder that exists",
    /Cannot export to .*there: it exists, wanted a new folder/,
    "run",
    "--out",
    "there",
  );
  await refused("no --out", /--out/, "run");
  const state = workspace.at("run", "checkpoints", stepFolder(5), "state.json");
  const text = await Deno.readTextFile(state);
  await Deno.writeTextFile(state, text.replaceAll("maxSeqLen", "maxSeqLem"));
  await refused(
    "a plan of another version",
    /plan in its state\.json is damaged or of another version/,
    "run",
    "--out",
    "out",
  );
  await Deno.writeTextFile(state, text.replaceAll("4096", "4097"));
  await refused("a state that is damaged", /state\.json: it is damaged/, "run", "--out", "out");
});

Deno.test("bowline export writes builtin tokenizers as files", async () => {
  await using workspace = await Workspace.make();
  const path = await workspace.write("bytes.json", {
    ...micro,
    name: "bytes",
    data: { ...micro.data, files: [workspace.text], tokenizer: { kind: "bytes" } },
  });
  const { code, stderr } = await workspace.run("train", path, "--out", "bytes", "--steps", "1");
  assert.equal(code, 0, stderr);
  await succeed(workspace, "export", "bytes", "--out", "out");
  assert.equal((await json(workspace.at("out"), "config.json")).eos_token_id, 256);
  await succeed(workspace, "import", "out", "--out", "again");
  const args = ["--prompt", "ba ke", "--temperature", "0", "--tokens", "20", "--json"];
  const text = async (run: string) => JSON.parse(await succeed(workspace, "generate", run, ...args)).text;
  assert.equal(await text("again"), await text("bytes"));
});

Deno.test("sizes of files are numbers with units", () => {
  assert.deepEqual(["5GB", "1.5kb", "20MB"].map(bytesOf), [5e9, 1500, 2e7]);
  for (const text of ["", "5", "GB", "-1GB", "5TB", "0.0001KB", "1e9GB", "99999999999GB"]) {
    assert.throws(() => bytesOf(text), /Cannot use --shard-size/, text);
  }
});
