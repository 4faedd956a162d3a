/**
 * The part of `@std/path` this program uses, over `node:path`. Delete the `links` entry in deno.json to use the real one.
 *
 * @module
 */
import { pathToFileURL } from "node:url";

export { basename, dirname, join, relative, resolve } from "node:path";

/** The `file:` URL of an absolute path. */
export function toFileUrl(path: string): URL {
  return pathToFileURL(path);
}
