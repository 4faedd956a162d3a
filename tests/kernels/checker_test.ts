/**
 * The checker over the project's own kernels: the tests of every op, on the library that has it built in. They fail on
 * whatever it reports.
 */
import assert from "node:assert/strict";
import { buildLibrary, hasCompiler } from "../../kernels/build.ts";
import { testOps } from "./ops.ts";

Deno.test({
  name: "the checker finds nothing in the kernels, over the cases of every op",
  ignore: !await hasCompiler(),
  fn: async () => {
    const { isSuccess, output } = await testOps(await buildLibrary("checked"));
    assert.ok(isSuccess, output);
  },
});
