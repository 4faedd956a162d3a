/** Where a run computes that goes on: where it did before, unless told. */
import assert from "node:assert/strict";
import { changeOf, choose, describeMemory } from "../../cli/run/device.ts";

const cuda = { name: "cuda", precision: "bf16" } as const;
const emulated = { name: "cuda-emulated", precision: "f32" } as const;
const cpu = { name: "cpu", precision: "f32" } as const;

Deno.test("a run goes on where it was, unless told, and in the precision that it had where the device has it", () => {
  assert.deepEqual(choose({}, undefined), { device: undefined, precision: undefined });
  assert.deepEqual(choose({}, cuda), { device: "cuda", precision: "bf16" });
  assert.deepEqual(choose({}, emulated), { device: "cuda-emulated", precision: "f32" });
  assert.deepEqual(choose({ device: "cuda" }, emulated), { device: "cuda", precision: "f32" });
  assert.deepEqual(choose({ precision: "f32" }, cuda), { device: "cuda", precision: "f32" });
  assert.deepEqual(choose({ device: "cuda", precision: "bf16" }, cpu), { device: "cuda", precision: "bf16" });
  for (const device of ["cpu", "auto"] as const) {
    assert.deepEqual(choose({ device }, cuda), { device, precision: undefined }, "the CPU has no bf16");
  }
});

Deno.test("a change of device or precision is told, and nothing else", () => {
  assert.equal(changeOf(cuda, cuda), null);
  assert.match(changeOf(cuda, cpu)!, /^going on on cpu in f32, before it was cuda in bf16: /);
  assert.match(
    changeOf(cuda, { ...cuda, precision: "f32" })!,
    /^going on on cuda in f32, before it was cuda in bf16: /,
  );
});

Deno.test("memory is told by parts that there are, in decimal units", () => {
  const parts = { weights: 999, gradients: 1_000, optimizer: 2_340_000, activations: 5e9, scratch: 1.2e12, working: 7 };
  assert.equal(
    describeMemory({ ...parts, cache: 0, gathered: 0, total: 5e9 }, { bytes: 8e9, is: "free on a card" }, "cuda"),
    "memory on cuda: 5.0 GB (weights 999 B, gradients 1.0 kB, optimizer 2.3 MB, activations 5.0 GB, scratch 1.2 TB, " +
      "working 7 B); 8.0 GB are free on a card",
  );
});
