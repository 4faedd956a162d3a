/** Manifests as differences from another one: what is compared, stored and restored, key by key. */
import type { Json } from "./record.ts";

/** Values by dotted path. */
export type Differences = Record<string, Json>;

/** The leaves where `to` differs from `from`, with the values of `to`. Arrays and objects of unlike keys are leaves. */
export function differences(from: Json, to: Json, path = ""): Differences {
  if (isSection(from) && isSection(to) && sameKeys(from, to)) {
    return Object.assign(
      {},
      ...Object.keys(to).map((key) => differences(from[key]!, to[key]!, path === "" ? key : `${path}.${key}`)),
    );
  }
  return JSON.stringify(from) === JSON.stringify(to) ? {} : { [path]: to };
}

/** The value that differs from `from` by `changes`; its keys are in the order of `from`. */
export function apply(from: Json, changes: Differences): Json {
  if ("" in changes) return structuredClone(changes[""]!);
  const result = structuredClone(from);
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.split(".");
    const last = keys.pop()!;
    const section = keys.reduce((inner, key) => (inner as Record<string, Json>)[key]!, result);
    (section as Record<string, Json>)[last] = value;
  }
  return result;
}

/** The text of a run's manifest.json. */
export function manifestText(manifest: Json): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** SHA-256 of a text, in hexadecimal digits. */
export async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function isSection(value: Json): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function sameKeys(a: Record<string, Json>, b: Record<string, Json>): boolean {
  return Object.keys(a).join("\n") === Object.keys(b).join("\n");
}
