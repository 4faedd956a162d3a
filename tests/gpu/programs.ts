/** The op tests on the device, plain and under the tools of compute-sanitizer. */
import { judged, type Row } from "./report.ts";
import type { Options } from "./options.ts";

/** Tests whose kernels share memory between threads, on sizes that the tools get through. */
const SANITIZED = ["dispatch", "router", "rmsnorm", "grouped_linear", "attention", "cross_entropy"];
const MICRO = ["clamp"];
const TOOLS = ["memcheck", "racecheck", "synccheck"] as const;

interface Outcome {
  readonly isGood: boolean;
  readonly output: string;
}

/** Every op's cases against the reference in f64. */
export async function checkOps(options: Options): Promise<Row[]> {
  const { isGood, output } = await start(options.ops, options.isMicro ? MICRO : [], options);
  const [passed, failed] = /(\d+) passed; (\d+) failed/.exec(output)?.slice(1) ?? [];
  if (!isGood || !(Number(passed) > 0)) console.error(output);
  return [judged("ops against f64", `${passed ?? "?"} passed, ${failed ?? "?"} failed`, isGood && Number(passed) > 0)];
}

/** Accesses, races and barriers as the sanitizer sees them. */
export async function checkSanitizer(options: Options): Promise<Row[]> {
  if (options.device === "cuda-emulated") {
    return [{ check: "compute-sanitizer", is: "the emulator has a checker of its own", verdict: "skipped" }];
  }
  if (!await isInstalled("compute-sanitizer")) {
    return [{ check: "compute-sanitizer", is: "it is not installed", verdict: "skipped" }];
  }
  const rows: Row[] = [];
  for (const tool of TOOLS) {
    const args = ["--tool", tool, "--error-exitcode", "1", options.ops, ...SANITIZED];
    const { isGood, output } = await start("compute-sanitizer", args, options);
    const summary = /ERROR SUMMARY: (.+)/.exec(output)?.[1] ?? /RACECHECK SUMMARY: (.+)/.exec(output)?.[1] ??
      "no summary";
    if (!isGood) console.error(output);
    rows.push(judged(tool, summary, isGood));
  }
  return rows;
}

async function start(program: string, args: readonly string[], { device, library }: Options): Promise<Outcome> {
  const env = { BOWLINE_DEVICE: device, BOWLINE_KERNELS: library };
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args], env }).output();
  const text = new TextDecoder();
  return { isGood: success, output: text.decode(stdout) + text.decode(stderr) };
}

async function isInstalled(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
