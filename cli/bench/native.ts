/** What only Rust can time: single operations, and batches apart from training. `ffi/benches/speed` prints JSON lines. */
import { join } from "@std/path";
import { TextLineStream } from "@std/streams";
import { corpusFiles } from "../corpus.ts";
import type { LoaderCase, StreamCase } from "./cases.ts";
import { checkGolden, checkSame } from "./golden.ts";
import { type CaseReport, type OpReport, row } from "./report.ts";
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

/** Times every operation at the sizes of nano and of olmoe-tiny; shares are left to who knows the probe. */
export function timeOps(): Promise<Omit<OpReport, "share">[]> {
  return run("ops");
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

/** Builds and runs the native benchmark; its lines. */
async function run<T>(...args: string[]): Promise<T[]> {
  const manifest = new URL("../../ffi/Cargo.toml", import.meta.url).pathname;
  const child = new Deno.Command("cargo", {
    args: ["bench", "--quiet", "--locked", "--manifest-path", manifest, "--bench", "speed", "--", ...args],
    stdout: "piped",
  }).spawn();
  const text = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  const lines = await Array.fromAsync(text);
  const { code } = await child.status;
  if (code !== 0) throw new Error(`Cannot run the native benchmark: cargo ended with ${code}, wanted 0`);
  return lines.map((line) => JSON.parse(line));
}
