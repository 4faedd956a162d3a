/** Changes to a manifest before it is completed, so that what follows from a changed key follows the change. */
import { ManifestError, unknownKey, unusable } from "./errors.ts";
import { manifestKeys } from "./schema.ts";

/** A value for the key at a dotted path. */
export interface Assignment {
  path: string;
  value: unknown;
}

/**
 * Reads `path=value`. The value is JSON, or a bare string if it is not.
 *
 * @throws {ManifestError} if there is no `=` or no path.
 */
export function parseAssignment(text: string): Assignment {
  const [, path, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (path === undefined || value === undefined) {
    throw new ManifestError(`Cannot set ${JSON.stringify(text)}: no key and value, wanted path=value`);
  }
  return { path: path.trim(), value: jsonOrText(value) };
}

/**
 * A copy of `input` in which each path has its value; later assignments win. Values are not checked here.
 *
 * @throws {ManifestError} for a path that is no key of the manifest, with the nearest one that is; for an input that is
 * no object.
 */
export function assign<T extends object>(input: T, assignments: readonly Assignment[]): T {
  if (Object(input) !== input) throw unusable("the manifest", input, "an object");
  const paths = manifestKeys().map((key) => key.path);
  const changed: T = structuredClone(input);
  for (const { path, value } of assignments) {
    if (!paths.includes(path)) throw unknownKey(path, paths);
    const keys = path.split(".");
    const last = keys.pop()!;
    let section = changed as Record<string, unknown>;
    for (const key of keys) {
      const child = section[key] ?? {};
      if (typeof child !== "object") {
        throw new ManifestError(`Cannot set ${path}: ${key} is ${child}, wanted an object`, path);
      }
      section = section[key] = child as Record<string, unknown>;
    }
    section[last] = value;
  }
  return changed;
}

function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
