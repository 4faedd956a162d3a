/** Documents in, ids out: `tokenize` as a job on a temporary folder, and the books that the tokenizers are tried on. */
import { join } from "@std/path";
import { zstdDecompressSync } from "node:zlib";
import type { Plan } from "../../experiments/mod.ts";
import { runJob } from "../../ffi/ts/job.ts";
import { sharedFolder } from "../shared.ts";

/** Text that the tokenizers are tried on, in bytes; the last document is whole. */
const BOOK_BYTES = 10_000_000;

/** A file of the shared folder that is compressed with zstd; null where it is not. */
export async function sharedText(path: string): Promise<string | null> {
  const file = sharedFolder(path);
  return file === null ? null : new TextDecoder().decode(zstdDecompressSync(await Deno.readFile(file)));
}

/** The first books; null where there are none. */
export async function books(): Promise<string[] | null> {
  const lines = (await sharedText("data/text/books.jsonl.zst"))?.split("\n");
  if (!lines) return null;
  const documents: string[] = [];
  for (let bytes = 0; bytes < BOOK_BYTES;) {
    const { text } = JSON.parse(lines[documents.length]!);
    documents.push(text);
    bytes += new TextEncoder().encode(text).length;
  }
  return documents;
}

/** The ids of each document, without separators, from several shards. */
export async function tokenize(
  documents: readonly string[],
  tokenizer: Plan["data"]["tokenizer"],
): Promise<Uint32Array[]> {
  const folder = await Deno.makeTempDir();
  try {
    const file = join(folder, "documents.jsonl");
    await Deno.writeTextFile(file, documents.map((text) => `${JSON.stringify({ text })}\n`).join(""));
    const out = join(folder, "shards");
    await runJob({
      job: "tokenize",
      sources: [{ name: "documents", paths: [file], column: null, format: "auto", weight: 1 }],
      minCharacters: 0,
      onBadRecord: "stop",
      cacheDir: join(folder, "cache"),
      tokenizer,
      separator: "<|endoftext|>",
      separatorPlacement: "none",
      out,
      shardTokens: 500_000,
      isResuming: false,
    });
    return await readShards(out);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function readShards(folder: string): Promise<Uint32Array[]> {
  const { width, shards } = JSON.parse(await Deno.readTextFile(join(folder, "index.json")));
  const documents: Uint32Array[] = [];
  for (const { file } of shards) {
    const { buffer } = await Deno.readFile(join(folder, file));
    const ids = width === 2 ? Uint32Array.from(new Uint16Array(buffer)) : new Uint32Array(buffer);
    let start = 0;
    const ends = await Deno.readFile(join(folder, file.replace(".bin", ".ends")));
    for (const end of new BigUint64Array(ends.buffer)) {
      documents.push(ids.subarray(start, Number(end)));
      start = Number(end);
    }
  }
  return documents;
}
