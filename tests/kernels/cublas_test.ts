/**
 * Dense products by cuBLAS, without a GPU: the emulated library calls a stand-in with cuBLAS's interface, and the
 * tests of the op must pass through it, so that transposes, leading dimensions and what is added to are right.
 */
import assert from "node:assert/strict";
import { buildHostLibrary, buildLibrary, hasCompiler } from "../../kernels/build.ts";
import { testOps } from "./ops.ts";

const source = new URL("cublas/stand_in.cpp", import.meta.url).pathname;
const ignore = !await hasCompiler();
const TESTS = ["linear::linear", "linear::linear_in_bf16"];

async function test(env: Record<string, string>): Promise<{ isSuccess: boolean; output: string }> {
  return await testOps(await buildLibrary("emulated"), TESTS, env);
}

/** Whether the loader finds a cuBLAS here, which may not start without a GPU. */
function hasCublas(): boolean {
  return ["libcublas.so.13", "libcublas.so.12"].some((name) => {
    try {
      Deno.dlopen(name, {}).close();
      return true;
    } catch {
      return false;
    }
  });
}

const isFound = hasCublas();
if (isFound) console.log("skip the test without cuBLAS: there is one");

Deno.test({
  name: "linear maps go through cuBLAS, in f32 and bf16",
  ignore,
  fn: async () => {
    const { isSuccess, output } = await test({ BOWLINE_CUBLAS: await buildHostLibrary(source) });
    assert.ok(isSuccess, output);
    assert.doesNotMatch(output, /skip/);
  },
});

Deno.test({
  name: "a status of cuBLAS becomes an error that says so",
  ignore,
  fn: async () => {
    const { isSuccess, output } = await test({
      BOWLINE_CUBLAS: await buildHostLibrary(source),
      CUBLAS_STAND_IN_STATUS: "13",
    });
    assert.ok(!isSuccess);
    assert.match(
      output,
      /Cannot multiply matrices on device 0: cuBLAS: the stand-in failed \(status 13\); BOWLINE_CUBLAS=off does without/,
    );
  },
});

Deno.test({
  name: "a cuBLAS that is named and not there is an error, one that is looked for is not",
  ignore: ignore || isFound,
  fn: async () => {
    const named = await test({ BOWLINE_CUBLAS: "/nowhere/libcublas.so" });
    assert.ok(!named.isSuccess);
    assert.match(
      named.output,
      /Cannot multiply matrices on device 0: cuBLAS cannot be loaded from BOWLINE_CUBLAS: \/nowhere\/libcublas\.so: .*; wanted its file, auto or off/,
    );
    const sought = await testOps(await buildLibrary("emulated"), ["linear::linear"], { BOWLINE_CUBLAS: "auto" });
    assert.ok(sought.isSuccess, sought.output);
  },
});
