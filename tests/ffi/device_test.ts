/** Devices at the C border: what is told where there is none, and the model on the emulated GPU against the processor. */
import assert from "node:assert/strict";
import { type BowlineError, coreInfo, type Device, deviceInfo, type DeviceOptions, Trainer } from "@bowline/bowline";
import { hasEmulator } from "../shared.ts";
import { tiny, tokens } from "./tiny.ts";

coreInfo(); // opened here and not in a test, which would seem to leak it

/** Runs `body` with no kernel library to be found. */
function withoutKernels(body: () => void): void {
  const before = Deno.env.get("BOWLINE_KERNELS");
  Deno.env.set("BOWLINE_KERNELS", "/nowhere/libbowline_cuda.so");
  try {
    body();
  } finally {
    if (before === undefined) Deno.env.delete("BOWLINE_KERNELS");
    else Deno.env.set("BOWLINE_KERNELS", before);
  }
}

Deno.test("a GPU without kernels is the user's mistake, and names the library", () => {
  withoutKernels(() => {
    const isTold = (error: BowlineError) =>
      error.exitCode === 2 && /^Cannot load the kernel library \/nowhere\/libbowline_cuda\.so: /.test(error.message);
    for (const device of ["cuda", "cuda-emulated"] as const) {
      assert.throws(() => new Trainer(tiny(), { device }), isTold, device);
    }
  });
});

Deno.test("auto without kernels takes the CPU and says why", () => {
  withoutKernels(() => {
    using trainer = new Trainer(tiny(), { device: "auto" });
    const { name, card, fallback } = trainer.device();
    assert.deepEqual([name, card], ["cpu", null]);
    assert.match(fallback!, /libbowline_cuda\.so/);
  });
});

Deno.test("bf16 is the precision of devices that have it, unless told, and no other device takes it", () => {
  assert.equal(deviceInfo().precision, "f32");
  assert.throws(
    () => deviceInfo({ precision: "bf16" }),
    /^BowlineError: Cannot compute in bf16 on the device cpu: wanted /,
  );
  withoutKernels(() => {
    assert.throws(
      () => deviceInfo({ device: "auto", precision: "bf16" }),
      /on the device cpu \(Cannot load .*\): wanted/,
    );
  });
  if (!hasEmulator()) return;
  const precision = (options: DeviceOptions) => deviceInfo({ device: "cuda-emulated", ...options }).precision;
  assert.deepEqual([precision({}), precision({ precision: "f32" })], ["bf16", "f32"]);
});

Deno.test("steps on the emulated GPU are those of the CPU within rounding", { ignore: !hasEmulator() }, async () => {
  const losses = async (device: Device) => {
    using trainer = new Trainer(tiny(), { device, precision: "f32" });
    assert.deepEqual([trainer.device().name, trainer.device().precision], [device, "f32"]);
    const steps = [];
    for (let step = 0; step < 3; step++) steps.push(await trainer.stepTokens(tokens()));
    const { evalLoss } = await trainer.evaluateTokens(tokens());
    return [...steps.flatMap(({ loss, gradNorm }) => [loss, gradNorm]), evalLoss];
  };
  const [cpu, emulated] = [await losses("cpu"), await losses("cuda-emulated")];
  for (const [i, want] of cpu.entries()) {
    // sums in another order: some roundings of f32 in the first step, which the two updates after it multiply
    assert.ok(Math.abs(emulated[i]! - want) <= 1e-4 * Math.abs(want), `number ${i}: got ${emulated[i]}, want ${want}`);
  }
});
