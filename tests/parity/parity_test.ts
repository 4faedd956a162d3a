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

/** Cases of each architecture, of wide banks and of loops, for devices that take long. */
const CASES = ["arch/olmoe-g4", "arch/qwen3moe-g4", "arch/deepseek-g2", "arch/olmoe-g4-w2x"].concat(
  "ablation/fourgroups1_32_experttie",
);
const golden = sharedFolder("golden");
const ignore = golden === null || !hasEmulator();
for (const name of CASES) {
  Deno.test(`${name} on the emulated GPU is within bounds in f32`, { ignore }, async () => {
    const errors = await runCase(await readGolden(resolve(golden!, name)), {
      device: "cuda-emulated",
      precision: "f32",
    });
    assert.deepEqual(broken(errors), [], JSON.stringify(errors));
  });

  Deno.test(`${name} on the emulated GPU has losses within 1e-2 of f32 in bf16`, { ignore }, async () => {
    const where = { device: "cuda-emulated", precision: "bf16" } as const;
    // The first steps alone: tensor cores take the emulator several times as long.
    const errors = await runCase(await readGolden(resolve(golden!, name)), where, 3);
    assert.ok(errors.loss <= 1e-2, JSON.stringify(errors));
    // Factors of 8 bits are not those of f32.
    assert.ok(errors.firstLoss > 2e-6, `the first loss is that of f32: ${JSON.stringify(errors)}`);
  });
}

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
