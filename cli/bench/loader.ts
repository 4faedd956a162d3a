/** Times the way of the quick start's texts to tokens; native.ts has the way of tokens to batches. */
import { join } from "@std/path";
import type { Plan } from "../../experiments/mod.ts";
import { Trainer } from "../../ffi/ts/trainer.ts";
import { corpusFiles } from "../corpus.ts";
import type { LoaderCase } from "./cases.ts";
import { checkGolden } from "./golden.ts";
import { peakMegabytes } from "./memory.ts";
import { type CaseReport, median, row } from "./report.ts";

/** Times at least, so that the files are in memory and the median is one. */
const MIN_TIMES = 3;

/**
 * Attaches the corpus with a ready tokenizer and an empty cache, again and again for `seconds`: reading, tokenizing on
 * all threads, writing the cache and counting the bigram baseline. The tokenizer is trained first, untimed, and what
 * that leaves in `folder`/cache serves the native part.
 *
 * @throws {GoldenError} if the bigram baseline is not the recorded one.
 */
export async function timeText(
  { name, plan, goldenLoss }: LoaderCase,
  folder: string,
  seconds: number,
): Promise<CaseReport[]> {
  const files = corpusFiles("sotu");
  using first = new Trainer(plan);
  const { tokenizerFile: path } = await first.attachData({ files, cacheDir: join(folder, "cache") });
  const ready: Plan = { ...plan, data: { ...plan.data, tokenizer: { kind: "file", path } } };
  using trainer = new Trainer(ready);
  const times: number[] = [];
  let tokens = 0;
  let elapsed = 0;
  do {
    const start = performance.now();
    const info = await trainer.attachData({ files, cacheDir: join(folder, `empty-${times.length}`) });
    times.push(performance.now() - start);
    if (info.kind !== "corpus") throw new TypeError(`Cannot time ${name}: its data is ${info.kind}, wanted a corpus`);
    checkGolden(name, "the bigram loss", info.bigramLoss, goldenLoss);
    tokens = info.trainTokens + info.heldOutTokens + info.droppedTokens;
    elapsed += times.at(-1)! / 1000;
  } while (times.length < MIN_TIMES || elapsed < seconds);
  return [row(`${name}-text`, { "tokens_per_s": 1000 * tokens / median(times), "peak_mb": peakMegabytes() })];
}
