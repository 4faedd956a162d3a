/** The hashes by which two evaluations can be told to have asked the same. */
import { createHash } from "node:crypto";
import { dumps } from "./python.ts";
import type { Question } from "./questions.ts";

/** SHA-256 of a text, in hexadecimal digits. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** SHA-256 of all requests, as compact JSON. */
export function requestsHash(questions: readonly Question[]): string {
  const hash = createHash("sha256").update("[");
  questions.forEach(({ requests }, i) => hash.update((i === 0 ? "" : ",") + dumps(requests, { isCompact: true })));
  return hash.update("]").digest("hex");
}

/** The three hashes of a sample: its row, its prompt, its answer. */
export function sampleHashes({ row, requests, target }: Question): [doc: string, prompt: string, target: string] {
  return [sha256(dumps(row, { indent: 2 })), sha256(requests[0]![0]), sha256(target)];
}

/** The hash of a task: over those of all its samples. */
export function taskHash(questions: readonly Question[]): string {
  return sha256(questions.map((question) => sampleHashes(question).join("")).join(""));
}
