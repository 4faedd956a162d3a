/**
 * Runs every suite, in Rust and in TypeScript, and ends with one line: `N passed, N failed`. A suite that does not get
 * as far as a summary (it does not compile, it crashes) counts as one failure.
 */

import { buildLibrary, hasCompiler } from "../kernels/build.ts";

/** What a suite found. */
interface Count {
  readonly passed: number;
  readonly failed: number;
}

const root = new URL("..", import.meta.url);

/** Runs a command, shows what it prints and returns its standard output and whether it succeeded. */
async function run(command: string, args: readonly string[]): Promise<{ output: string; isSuccess: boolean }> {
  const child = new Deno.Command(command, { args: [...args], cwd: root, stdout: "piped" }).spawn();
  let output = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    output += decoder.decode(chunk, { stream: true });
    for (let at = 0; at < chunk.length;) at += Deno.stdout.writeSync(chunk.subarray(at));
  }
  return { output, isSuccess: (await child.status).success };
}

/** A suite that failed without any failed test has failed as a whole. */
function count(passed: number, failed: number, isSuccess: boolean): Count {
  return { passed, failed: isSuccess || failed > 0 ? failed : 1 };
}

/** Adds up the summaries of the test programs that cargo runs. */
async function cargo(): Promise<Count> {
  const args = ["test", "--locked", "--no-fail-fast", "--manifest-path", "ffi/Cargo.toml"];
  const { output, isSuccess } = await run("cargo", args);
  const summaries = [...output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed;/gm)];
  const sum = (group: number) => summaries.reduce((total, match) => total + Number(match[group]), 0);
  return count(sum(1), sum(2), isSuccess);
}

/** Runs the TypeScript tests and the examples in the documentation. */
async function deno(): Promise<Count> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const args = ["test", "-A", "--doc", "--preload=tests/preload.ts", `--junit-path=${report}`];
    const { isSuccess } = await run(Deno.execPath(), args);
    const suites = /<testsuites [^>]*tests="(\d+)" failures="(\d+)" errors="(\d+)"/.exec(
      await Deno.readTextFile(report),
    );
    const [tests, failures, errors] = (suites ?? []).slice(1).map(Number);
    const failed = (failures ?? 0) + (errors ?? 0);
    return count((tests ?? 0) - failed, failed, isSuccess);
  } finally {
    await Deno.remove(report);
  }
}

// The op tests run on the emulated GPU, too, where there is a C++ compiler.
if (await hasCompiler()) await buildLibrary("emulated");
const counts = [await cargo(), await deno()];
const total = (key: keyof Count) => counts.reduce((sum, suite) => sum + suite[key], 0);
console.log(`${total("passed")} passed, ${total("failed")} failed`);
if (total("failed") > 0) Deno.exitCode = 1;
