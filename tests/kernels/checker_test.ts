/**
 * The checker over the project's own kernels: the tests of every op, on the library that has it built in. They fail on
 * whatever it reports.
 */
import assert from "node:assert/strict";
import { buildLibrary, hasCompiler } from "../../kernels/build.ts";

const manifest = new URL("../../ffi/Cargo.toml", import.meta.url).pathname;

Deno.test({
  name: "the checker finds nothing in the kernels, over the cases of every op",
  ignore: !await hasCompiler(),
  fn: async () => {
    const library = await buildLibrary("checked");
    // CI: a library that cannot be opened is a failure
    const { code, stdout, stderr } = await new Deno.Command("cargo", {
      args: ["test", "--locked", "--manifest-path", manifest, "--test", "ops"],
      env: { BOWLINE_KERNELS: library, CI: "true" },
    }).output();
    const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.equal(code, 0, output);
    assert.match(output, /test result: ok\. [1-9]\d* passed/);
  },
});
