/**
 * The native libraries inside the executable. The system opens files only, so at first start they are unpacked to the
 * cache, into a folder named by what they are: versions stand beside each other, and a start finds what another left.
 */
import { createHash, randomUUID } from "node:crypto";
import { join } from "@std/path";
import { messageOf } from "./errors.ts";

/** What `deno task compile` puts beside the libraries. */
export interface Listing {
  /** Hash of all names and contents. */
  readonly hash: string;
  /** The libraries. */
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
}

/** Name of the listing's file. */
export const LISTING = "libraries.json";

/** Where the libraries lie in the executable, from here: `deno task compile` puts them there. */
export const CARRIED = join(import.meta.dirname!, "..", "dist", "carried");

/** Lists libraries by name. */
export function list(libraries: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Listing {
  const files = [...libraries].map(([name, bytes]) => ({ name, sha256: sha256(bytes) }));
  return { hash: sha256(new TextEncoder().encode(JSON.stringify(files))), files };
}

/**
 * Unpacks what is carried in `from` to the cache, unless it is there and whole, and returns the folder. Where the cache
 * cannot be written it is a temporary folder that goes when this process does.
 *
 * @throws {Error} if that cannot be written either.
 */
export function unpack(from: string, cache: string): string {
  const listing: Listing = JSON.parse(Deno.readTextFileSync(join(from, LISTING)));
  try {
    return unpackTo(join(cache, "libraries", listing.hash), from, listing);
  } catch (inCache) {
    try {
      const folder = Deno.makeTempDirSync({ prefix: "bowline-" });
      addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
      return unpackTo(folder, from, listing);
    } catch (inTemporary) {
      throw new Error(
        `Cannot unpack the native libraries: ${messageOf(inCache)}, and in the temporary folder: ` +
          `${messageOf(inTemporary)}; wanted a place to write (BOWLINE_CACHE names one)`,
      );
    }
  }
}

/** Each file appears whole or not at all, and replaces one that is damaged: processes may do this at the same time. */
function unpackTo(folder: string, from: string, { files }: Listing): string {
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const { name, sha256 } of files) {
    const path = join(folder, name);
    if (isWhole(path, sha256)) continue;
    const temporary = join(folder, `.${name}.${randomUUID()}`);
    try {
      Deno.writeFileSync(temporary, Deno.readFileSync(join(from, name)), { createNew: true, mode: 0o700 });
      Deno.renameSync(temporary, path);
    } catch (error) {
      removeIfThere(temporary);
      throw error;
    }
  }
  return folder;
}

function isWhole(path: string, wanted: string): boolean {
  try {
    return sha256(Deno.readFileSync(path)) === wanted;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
