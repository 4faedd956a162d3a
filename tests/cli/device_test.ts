/** Commands on other devices than the CPU: the emulated GPU, and one that is not there. */
import assert from "node:assert/strict";
import { hasEmulator } from "../shared.ts";
import { assertMistake } from "./mistakes.ts";
import { stepFolder, Workspace } from "./program.ts";

const ignore = !hasEmulator();
/** Few tokens: the emulator runs some hundred a second. */
const SMALL = ["train.steps=4", "train.batch=1", "train.seqLen=8", "eval.batches=1", "checkpoint.every=2"]
  .flatMap((assignment) => ["--set", assignment]);
const EMULATED = ["--device", "cuda-emulated", "--precision", "f32"];
const LIBRARY = new URL("../../kernels/build/libbowline_cuda_emulated.so", import.meta.url).pathname;

/** The held-out losses that a run recorded. */
async function losses(workspace: Workspace, out: string): Promise<number[]> {
  return (await workspace.events(out)).filter(({ type }) => type === "eval").map(({ loss }) => Number(loss));
}

Deno.test("a run on the emulated GPU", { ignore }, async (t) => {
  await using workspace = await Workspace.make();
  await workspace.train("whole", ...SMALL, ...EMULATED);
  await workspace.train("cpu", ...SMALL);

  await t.step("records where it was, and the memory that it took before its first step", async () => {
    const events = await workspace.events("whole");
    assert.deepEqual(events.slice(0, 3).map(({ type }) => type), ["start", "memory", "step"]);
    const [start, memory] = events;
    assert.deepEqual([start!["device"], start!["precision"]], ["cuda-emulated", "f32"]);
    const { type: _type, step: _step, total, available, ...parts } = memory!;
    assert.equal(available, null);
    assert.deepEqual(
      Object.keys(parts),
      ["weights", "gradients", "optimizer", "activations", "cache", "scratch", "working", "gathered"],
    );
    assert.equal(Object.values(parts).reduce((sum: number, bytes) => sum + Number(bytes), 0), total);
    const { device } = JSON.parse(await Deno.readTextFile(workspace.at("whole", "environment.json")));
    assert.deepEqual([device.name, device.precision, device.card.name], ["cuda-emulated", "f32", "emulator"]);
    assert.deepEqual(events.filter(({ type }) => type === "warning"), []);
  });

  await t.step("is that of the CPU within rounding", async () => {
    const [got, want] = [await losses(workspace, "whole"), await losses(workspace, "cpu")];
    assert.equal(got.length, want.length);
    got.forEach((loss, i) => assert.ok(Math.abs(loss - want[i]!) <= 1e-5 * want[i]!, `${loss} and ${want[i]}`));
  });

  await t.step("goes on where it was, to the bit", async () => {
    await workspace.train("parts", ...SMALL, ...EMULATED, "--steps", "2");
    const { stderr } = await workspace.train("parts", ...SMALL, "--resume");
    assert.match(stderr, /^memory on cuda-emulated: [\d.]+ [kM]B \(weights/m);
    assert.deepEqual(await workspace.tensors("parts", 4), await workspace.tensors("whole", 4));
    const starts = (await workspace.events("parts")).filter(({ type }) => type === "start");
    assert.deepEqual(starts.map(({ device, precision }) => [device, precision]), [
      ["cuda-emulated", "f32"],
      ["cuda-emulated", "f32"],
    ]);
  });

  await t.step("goes on elsewhere if told, with a warning, close to what it would have been", async () => {
    await workspace.train("moved", ...SMALL, ...EMULATED, "--steps", "2");
    const { stderr } = await workspace.train("moved", ...SMALL, "--resume", "--device", "cpu");
    assert.match(stderr, /going on on cpu in f32, before it was cuda-emulated in f32/);
    const warnings = (await workspace.events("moved")).filter(({ type }) => type === "warning");
    assert.deepEqual(warnings.map(({ step }) => step), [2]);
    assert.match(String(warnings[0]!["message"]), /^going on on cpu in f32/);
    const [got, want] = [(await losses(workspace, "moved")).at(-1)!, (await losses(workspace, "whole")).at(-1)!];
    assert.ok(Math.abs(got - want) <= 1e-5 * want, `${got} and ${want}`);
  });

  await t.step("writes the text that the CPU writes", async () => {
    const write = async (...args: string[]) => {
      const prompt = ["--prompt", "ba ke", "--tokens", "8", "--temperature", "0", "--json"];
      const { code, stdout, stderr } = await workspace.run("generate", "whole", ...prompt, ...args);
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout);
    };
    const [got, want] = [await write(...EMULATED), await write()];
    assert.deepEqual([got.device, got.precision, want.device, want.precision], ["cuda-emulated", "f32", "cpu", "f32"]);
    assert.equal(got.text, want.text);
  });

  await t.step("is evaluated as on the CPU, and not into the same folder", async () => {
    await Deno.writeTextFile(workspace.at("few.txt"), "ba ke lo mi nura seti bake");
    const perplexity = async (...args: string[]) => {
      const outcome = await workspace.run("eval", "whole", "--tasks", "few.txt", "--json", ...args);
      assert.equal(outcome.code, 0, outcome.stderr);
      const { results, config } = JSON.parse(outcome.stdout);
      return { value: Number(results.few["word_perplexity,none"]), device: config.device };
    };
    const [got, want] = [await perplexity("--out", "eval", ...EMULATED), await perplexity()];
    assert.deepEqual([got.device, want.device], ["cuda-emulated", "cpu"]);
    assert.ok(Math.abs(got.value - want.value) <= 1e-4 * want.value, `${got.value} and ${want.value}`);
    const again = ["eval", "whole", "--tasks", "few.txt", "--out", "eval"];
    await assertMistake(workspace, again, /device is cpu, there it is cuda-emulated/);
  });

  await t.step("is exported as any other", async () => {
    const { code, stderr } = await workspace.run("export", "whole", "--out", "exported");
    assert.equal(code, 0, stderr);
  });
});

Deno.test("Ctrl-C on the emulated GPU saves the last recorded step", { ignore }, async () => {
  await using workspace = await Workspace.make();
  const child = workspace.start("train", workspace.manifest, "--out", "run", ...EMULATED);
  const output = child.output();
  await Promise.race([workspace.recorded("run", 2), output]);
  child.kill("SIGINT");
  const { code, stderr } = await output;
  assert.equal(code, 130, new TextDecoder().decode(stderr));
  const events = await workspace.events("run");
  assert.equal(events.at(-1)!["reason"], "interrupted");
  const last = events.findLast(({ type }) => type === "step")!.step;
  assert.equal(workspace.checkpoints("run").at(-1), stepFolder(last));
});

Deno.test("experiments run and submit pass the device on", { ignore }, async () => {
  await using workspace = await Workspace.make();
  const { code, stderr } = await workspace.run("experiments", "run", workspace.manifest, ...SMALL, ...EMULATED);
  assert.equal(code, 0, stderr);
  const [start] = await workspace.events("runs/micro");
  assert.deepEqual([start!["device"], start!["precision"]], ["cuda-emulated", "f32"]);
  const submit = ["experiments", "submit", workspace.manifest, "--scheduler", "slurm"];
  for (const [out, args, words] of [["gpu", [], "--device cuda"], ["named", EMULATED, EMULATED.join(" ")]] as const) {
    const submitted = await workspace.run(...submit, "--out", out, ...args);
    assert.equal(submitted.code, 0, submitted.stderr);
    const script = await Deno.readTextFile(workspace.at(out, "micro.sh"));
    assert.ok(script.split("\n").some((line) => line.startsWith("train=(") && line.endsWith(` ${words})`)), script);
  }
});

Deno.test("a GPU that is not there is one line that says what is missing", async (t) => {
  await using workspace = await Workspace.make();
  const train = ["train", workspace.manifest, "--out", "run"];
  await t.step("the precision, on the CPU", async () => {
    await assertMistake(
      workspace,
      [...train, "--precision", "bf16"],
      /bf16 on the device cpu: wanted.* f32, or the device/,
    );
  });
  await t.step("the precision of a plan, too", async () => {
    await assertMistake(workspace, ["plan", workspace.manifest, "--precision", "bf16"], /bf16 on the device cpu/);
  });
  workspace.env["BOWLINE_KERNELS"] = workspace.at("none");
  await t.step("the library", async () => {
    await assertMistake(
      workspace,
      [...train, "--device", "cuda"],
      /kernel library .*none: .*; the device cpu needs none/,
    );
  });
  await t.step("without which a plan says what it takes, and not whether it fits", async () => {
    const { code, stdout } = await workspace.run("plan", workspace.manifest, "--device", "cuda");
    assert.equal(code, 0);
    assert.match(stdout, /^ {2}total +\d/m);
    assert.match(stdout, /^ {2}whether it fits there is not known: Cannot load the kernel library/m);
  });
  await t.step("which auto does without, and says so", async () => {
    const { stderr } = await workspace.train("auto", ...SMALL, "--device", "auto");
    assert.match(stderr, /computing on the CPU: Cannot load the kernel library/);
    const [start, warning] = await workspace.events("auto");
    assert.equal(start!["device"], "cpu");
    assert.match(String(warning!["message"]), /^computing on the CPU: Cannot load/);
  });
  await t.step("which doctor tells", async () => {
    const { stdout } = await workspace.run("doctor", "--json");
    const found = JSON.parse(stdout).filter(({ name }: { name: string }) => name.startsWith("device "));
    const names = ["device cpu", "device cuda", "device cuda-emulated"];
    assert.deepEqual(found.map(({ name }: { name: string }) => name), names);
    for (const { is, isGood } of found.slice(1)) {
      assert.ok(isGood && /^not here: Cannot load the kernel library/.test(is), is);
    }
  });
  workspace.env["BOWLINE_KERNELS"] = LIBRARY;
  for (
    const [part, variable, value, says] of [
      ["code for the card", "CC", "75", /its compute capability is 7\.5; wanted 8\.x or 9\.0; the device cpu/],
      ["driver", "MISSING", "driver", /CUDA driver: .*; the device cpu/],
      ["device", "MISSING", "device", /there are 0; the device/],
    ] as const
  ) {
    await t.step({
      name: `the ${part}`,
      ignore,
      fn: async () => {
        workspace.env[`BOWLINE_EMULATOR_${variable}`] = value;
        await assertMistake(workspace, [...train, "--device", "cuda"], says);
      },
    });
  }
});

Deno.test("a run that does not fit is refused with what does", async () => {
  await using workspace = await Workspace.make();
  const args = ["train", workspace.manifest, "--out", "run", "--set", "train.batch=8"];
  const { stdout } = await workspace.run("plan", workspace.manifest, "--set", "train.batch=8", "--json");
  const { memory: { total } } = JSON.parse(stdout);
  workspace.env["BOWLINE_MEMORY_LIMIT"] = String(total - 1);
  const says =
    /^error: Cannot train: \d\.\d MB are needed and \d\.\d MB are allowed by BOWLINE_MEMORY_LIMIT; it fits with --set train\.recompute=true \(\d\.\d MB\), or with 2 processes \(\d\.\d MB each\)$/m;
  await assertMistake(workspace, args, says);
  const planned = await workspace.run("plan", workspace.manifest, "--set", "train.batch=8");
  assert.match(
    planned.stdout,
    /^ {2}it does not fit: .*; it fits with --set train\.recompute=true .*, or with 2 processes/m,
  );
  await workspace.train("run", "--set", "train.batch=8", "--set", "train.recompute=true", "--steps", "1");
  const memory = (await workspace.events("run")).find(({ type }) => type === "memory")!;
  assert.ok(Number(memory["total"]) <= Number(memory["available"]));
  const resume = ["train", workspace.manifest, "--out", "run", "--resume"];
  workspace.env["BOWLINE_MEMORY_LIMIT"] = String(Number(memory["total"]) - 1);
  await assertMistake(
    workspace,
    [...resume, "--set", "train.batch=8", "--set", "train.recompute=true"],
    /a run that goes on keeps its manifest: it fits with \d processes .*, or perhaps on another --device$/m,
  );
  workspace.env["BOWLINE_MEMORY_LIMIT"] = "much";
  await assertMistake(workspace, [...args, "--out", "other"], /BOWLINE_MEMORY_LIMIT "much": wanted a number of bytes/);
});
