/** What the streams of the benchmark read, and the plans that read it; native.ts times them. */
import { join } from "@std/path";
import { manifest, type Plan, preset, resolve } from "../../experiments/mod.ts";
import { runJob } from "../../ffi/ts/job.ts";
import { corpusFiles } from "../corpus.ts";
import type { StreamCase } from "./cases.ts";

/** Copies of the corpus: enough to fill a block, which is what going on reads again. */
const COPIES = 12;

const nano = preset("nano");

/** A plan that streams what {@linkcode prepareStream} writes into `folder`. */
export function streamPlan(from: StreamCase["from"], folder: string): Plan {
  const path = from === "text" ? textFile(folder) : shardFolder(folder);
  return resolve(manifest({
    ...nano,
    model: { ...nano.model, vocab: 100_277 },
    train: { ...nano.train, batch: 8, seqLen: 1024 },
    data: {
      sources: [{ name: "sotu", paths: [path] }],
      tokenizer: { kind: "cl100k" },
    },
  }));
}

/** Writes the quick start's texts, several times over, as JSON lines, and their tokens as shards where they are asked for. */
export async function prepareStream({ from }: StreamCase, folder: string): Promise<void> {
  const texts = await Promise.all(corpusFiles("sotu").map((file) => Deno.readTextFile(file)));
  const lines = texts.map((text) => `${JSON.stringify({ text })}\n`).join("");
  await Deno.writeTextFile(textFile(folder), lines.repeat(COPIES));
  if (from === "text") return;
  const { sources, ...data } = streamPlan("text", folder).data;
  await runJob({
    job: "tokenize",
    sources,
    minCharacters: data.minCharacters,
    onBadRecord: data.onBadRecord,
    cacheDir: join(folder, "cache"),
    tokenizer: data.tokenizer,
    separator: data.separator,
    separatorPlacement: "before",
    out: shardFolder(folder),
    shardTokens: 4_000_000,
    isResuming: false,
  });
}

function textFile(folder: string): string {
  return join(folder, "text.jsonl");
}

function shardFolder(folder: string): string {
  return join(folder, "shards");
}
