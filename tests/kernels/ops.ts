/** The tests of the ops, in Rust, with another kernel library. */

const manifest = new URL("../../ffi/Cargo.toml", import.meta.url).pathname;

/** Runs the tests of these names, or all, and returns what they print. */
export async function testOps(
  library: string,
  tests: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<{ isSuccess: boolean; output: string }> {
  const { success, stdout, stderr } = await new Deno.Command("cargo", {
    args: ["test", "--locked", "--manifest-path", manifest, "--test", "ops", "--", ...tests, "--nocapture"].concat(
      tests.length > 0 ? ["--exact"] : [],
    ),
    // CI: a library that cannot be opened is a failure
    env: { BOWLINE_KERNELS: library, CI: "true", ...env },
  }).output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  const passed = Number(/^test result: ok\. (\d+) passed/m.exec(output)?.[1] ?? 0);
  return { isSuccess: success && passed >= Math.max(1, tests.length), output };
}
