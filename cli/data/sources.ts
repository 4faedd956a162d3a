/** What the commands of `bowline data` share: options that name sources, and a job that is watched. */
import { ValidationError } from "@cliffy/command";
import { resolve } from "@std/path";
import { MIXTURES, type Source } from "../../experiments/mod.ts";
import { type JobReports, type JobRequest, runJob, type SourcesRequest } from "../../ffi/ts/job.ts";
import type { Plan } from "../../experiments/mod.ts";
import { BowlineError } from "../../ffi/ts/status.ts";
import { cacheFolder } from "../cache.ts";
import { Interrupt, INTERRUPTED } from "../run/interrupt.ts";

/** Formats by name. */
export const FORMATS = ["auto", "text", "jsonl", "parquet", "arrow", "tokens-u16", "tokens-u32"] as const;

/** Options of every command that reads sources. */
export interface SourceOptions {
  readonly column?: string | undefined;
  readonly format: Source["format"];
  readonly minCharacters: number;
  readonly skipBad?: boolean | undefined;
}

/**
 * The sources that a command line names: the paths as one source, or those of a published mixture by its name.
 *
 * @throws {ValidationError} if nothing is named.
 */
export function sourcesOf(paths: readonly string[], options: SourceOptions): SourcesRequest {
  if (options.minCharacters < 0) {
    throw new ValidationError(`Cannot use --min-characters ${options.minCharacters}: wanted an integer of at least 0`);
  }
  const mixture = paths.length === 1 ? MIXTURES[paths[0]!] : undefined;
  const absolute = (path: string) => path.startsWith("hf://") ? path : resolve(path);
  const { format, column = null } = options;
  return {
    sources: mixture ? [...mixture] : [{ name: "text", paths: paths.map(absolute), column, format, weight: 1 }],
    minCharacters: options.minCharacters,
    onBadRecord: options.skipBad ? "skip" : "stop",
    cacheDir: cacheFolder(),
  };
}

/** `cl100k`, `bytes` or the path of a tokenizer.json. */
export function tokenizerOf(name: string): Plan["data"]["tokenizer"] {
  if (name === "cl100k" || name === "bytes") return { kind: name };
  return { kind: "file", path: resolve(name) };
}

/** Runs a job with its progress on stderr; nothing is returned if it was interrupted, which sets the exit code 130. */
export async function watched<R extends JobRequest>(
  what: string,
  request: R,
): Promise<JobReports[R["job"]] | undefined> {
  using interrupt = new Interrupt();
  const abort = new AbortController();
  interrupt.onRequest(() => abort.abort());
  const isTerminal = Deno.stderr.isTerminal();
  const show = (text: string) => isTerminal && Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  try {
    const onProgress = (done: number) => void show(`${what} ${Math.floor(100 * done)}%`);
    return await runJob(request, { signal: abort.signal, onProgress });
  } catch (error) {
    if (!(error instanceof BowlineError && error.code === "cancelled")) throw error;
    Deno.exitCode = INTERRUPTED;
    return undefined;
  } finally {
    show("");
  }
}
