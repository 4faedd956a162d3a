/** Times the writing of text. */
import { join } from "@std/path";
import { Model } from "../../ffi/ts/model.ts";
import { Trainer } from "../../ffi/ts/trainer.ts";
import { corpusFiles } from "../corpus.ts";
import type { GenerateCase } from "./cases.ts";
import { checkGolden } from "./golden.ts";
import { peakMegabytes } from "./memory.ts";
import { type CaseReport, median, row } from "./report.ts";

/** A text that is not as long as it should be. */
export class TextError extends Error {
  /** Process exit code: the run failed. */
  readonly exitCode = 1;

  /** Makes an error that names the case. */
  constructor(name: string, pieces: number, wanted: number) {
    super(`Cannot report ${name}: the model wrote ${pieces} pieces of text, wanted ${wanted}`);
    this.name = "TextError";
  }
}

/**
 * Saves the untrained model, in a process apart so that its memory is not that of the writing.
 *
 * @throws {GoldenError} if its held-out loss is not the recorded one.
 */
export async function saveModel({ name, plan, goldenLoss }: GenerateCase, folder: string): Promise<void> {
  using trainer = new Trainer(plan);
  await trainer.attachData({ files: corpusFiles("sotu"), cacheDir: join(folder, "cache") });
  const { evalLoss } = await trainer.evaluate(1);
  checkGolden(name, "the held-out loss of its model", evalLoss, goldenLoss);
  await trainer.save(join(folder, "model"));
}

/** Writes texts for `seconds` with the model that {@linkcode saveModel} left: a short prompt, then token by token. */
export async function timeGenerate(
  { name, prompt, tokens }: GenerateCase,
  folder: string,
  seconds: number,
): Promise<CaseReport[]> {
  using model = await Model.open(join(folder, "model"), { threads: 1 });
  const times: number[] = [];
  let elapsed = 0;
  do {
    const start = performance.now();
    const pieces = await Array.fromAsync(model.generate(prompt, { tokens, temperature: 0 }));
    // A token is one piece unless it ends inside a character; fewer pieces may mean that the text ended early.
    if (pieces.length !== tokens) {
      throw new TextError(name, pieces.length, tokens);
    }
    times.push(performance.now() - start);
    elapsed += times.at(-1)! / 1000;
  } while (times.length < 3 || elapsed < seconds);
  return [row(name, { "tokens_per_s": 1000 * tokens / median(times), "peak_mb": peakMegabytes() })];
}
