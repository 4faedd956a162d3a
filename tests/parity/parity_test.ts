import assert from "node:assert/strict";
import { resolve } from "@std/path";
import { core } from "../../ffi/ts/library.ts";
import { broken, runCase } from "./compare.ts";
import { readGolden } from "./golden.ts";
import { parity } from "./main.ts";
import { hasEmulator, sharedFolder } from "../shared.ts";

core(); // the library stays open for the whole process, so it is not opened inside a test
const folder = sharedFolder("golden/arch");

for (const [cases, path] of [["main experiments", "golden/arch"], ["component ablation", "golden/ablation"]] as const) {
  const folder = sharedFolder(path);
  Deno.test(`every golden case of the ${cases} is within bounds`, { ignore: folder === null }, async () => {
    const lines: string[] = [];
    assert.ok(await parity(folder!, (line) => lines.push(line)), lines.join("\n"));
  });
}

const isEmulated = folder !== null && hasEmulator();
Deno.test("a golden case is within bounds on the emulated GPU", { ignore: !isEmulated }, async () => {
  const lines: string[] = [];
  const options = { device: "cuda-emulated", precision: "f32", case: "olmoe-g4" } as const;
  assert.ok(await parity(folder!, (line) => lines.push(line), options), lines.join("\n"));
});

Deno.test(
  "a case whose recorded gradient differs in one tensor is out of bounds",
  { ignore: folder === null },
  async () => {
    const golden = await readGolden(resolve(folder!, "olmoe-g4"));
    const gradient = golden.tensors.f32.bind(golden.tensors);
    golden.tensors.f32 = (name) => {
      const tensor = gradient(name);
      if (name === "grad0/model.layers.2.mlp.experts.down_proj") tensor.values[0]! += 0.01;
      return tensor;
    };
    assert.deepEqual(broken(await runCase(golden)), ["gradient"]);
  },
);

Deno.test("an error that is not a number is out of bounds", () => {
  const close = { name: "x", firstLoss: 0, gradient: 0, loss: 0, gradNorm: 0, weights: 0 };
  assert.deepEqual(broken(close), []);
  assert.deepEqual(broken({ ...close, loss: NaN, weights: NaN }), ["loss", "weights"]);
});
