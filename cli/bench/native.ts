/** What only Rust can time or count: `ffi/benches/speed`, and the batches that it makes apart from training. */
import { join } from "@std/path";
import { corpusFiles } from "../corpus.ts";
import type { LoaderCase, StreamCase } from "./cases.ts";
import { checkGolden, checkSame } from "./golden.ts";
import { type CaseReport, row } from "./report.ts";
import { streamPlan } from "./stream.ts";

/** What the batches' benchmark found. */
interface BatchesLine {
  readonly "tokens_per_s": number;
  readonly "resume_ms": number;
  readonly "bigram_loss": number;
}

/** SHA-256 of the tokens of a stream's first micro-batches: the same from shards as from the text. */
const STREAM_CHECKSUM = "9a81b37dd6e9a60ba4c4cea5bc13b919591da56e81794e36e654dd336157213f";

/** What the stream's benchmark found. */
interface StreamLine {
  readonly "tokens_per_s": number;
  readonly "resume_ms": number;
  readonly checksum: string;
}

/**
 * Times batches from the tokens that the loader case left in `folder`, on one thread, and a start in the middle.
 *
 * @throws {GoldenError} if the bigram baseline is not the recorded one.
 */
export async function timeBatches(
  { name, plan, goldenLoss }: LoaderCase,
  folder: string,
  seconds: number,
): Promise<CaseReport[]> {
  const { model, train, data, seed } = plan;
  const request = {
    files: corpusFiles("sotu"),
    "cache_dir": join(folder, "cache"),
    tokenizer: data.tokenizer,
    separator: data.separator,
    "min_characters": data.minCharacters,
    "held_out": data.heldOut,
    "seq_len": train.seqLen,
    vocab: model.vocab,
    batch: train.batch,
    seed,
    seconds,
  };
  const [line] = await run<BatchesLine>("batches", JSON.stringify(request));
  if (!line) throw new Error(`Cannot report ${name}: the native benchmark printed nothing, wanted a line of JSON`);
  checkGolden(name, "the bigram loss", line.bigram_loss, goldenLoss);
  return [
    row(`${name}-batches`, { "tokens_per_s": line.tokens_per_s }),
    row(`${name}-resume`, { "step_ms": line.resume_ms }),
  ];
}

/**
 * Times a stream of what `prepareStream` left in `folder`, and the slowest of some starts along it.
 *
 * @throws {GoldenError} if its first micro-batches are not the recorded ones.
 */
export async function timeStream(
  { name, from }: StreamCase,
  folder: string,
  seconds: number,
): Promise<CaseReport[]> {
  const request = { plan: JSON.stringify(streamPlan(from, folder)), "cache_dir": join(folder, "cache"), seconds };
  const [line] = await run<StreamLine>("stream", JSON.stringify(request));
  if (!line) throw new Error(`Cannot report ${name}: the native benchmark printed nothing, wanted a line of JSON`);
  checkSame(name, "the checksum of its first micro-batches", line.checksum, STREAM_CHECKSUM);
  return [
    row(name, { "tokens_per_s": line.tokens_per_s }),
    row(`${name}-resume`, { "step_ms": line.resume_ms }),
  ];
}

/** Runs the native benchmark; the JSON lines that it prints. */
async function run<T>(...args: string[]): Promise<T[]> {
  return (await runSpeed(args)).trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** Runs the native benchmark; what it prints. */
export async function runSpeed(args: string[], env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(await buildSpeed(), { args, env }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`Cannot run the native benchmark: it ended with ${code}: ${text.decode(stderr)}`);
  return text.decode(stdout);
}

/** How the native benchmark is built: as the core is, or as its tests are, which is quick where those are built. */
const BUILDS = {
  // With the names of functions, which the core's profile strips.
  release: { command: ["rustc", "--release"], rustc: ["--", "-C", "strip=none"] },
  test: { command: ["test", "--no-run"], rustc: [] },
} as const;

let built: Promise<string> | undefined;

/** Builds the native benchmark once; the program's path. */
export function buildSpeed(build: keyof typeof BUILDS = "release"): Promise<string> {
  return built ??= compile(build);
}

async function compile(build: keyof typeof BUILDS): Promise<string> {
  const manifest = new URL("../../ffi/Cargo.toml", import.meta.url).pathname;
  const { command, rustc } = BUILDS[build];
  const options = ["--quiet", "--locked", "--manifest-path", manifest, "--bench", "speed", "--message-format=json"];
  const cargo = new Deno.Command("cargo", { args: [...command, ...options, ...rustc], stderr: "inherit" });
  const { code, stdout } = await cargo.output();
  if (code !== 0) throw new Error(`Cannot build the native benchmark: cargo ended with ${code}, wanted 0`);
  const messages = new TextDecoder().decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
  const program = messages.find(({ executable, target }) => executable && target.name === "speed")?.executable;
  if (!program) throw new Error("Cannot build the native benchmark: cargo names no program, wanted speed");
  return program;
}
