/** Experiments by name. */
import { architectures } from "./architectures.ts";
import { ManifestError, nearest } from "./errors.ts";
import type { ManifestInput } from "./manifest.ts";
import { nano, quickstart } from "./nano.ts";

/** Every preset, quick ones first. */
export const presets: readonly ManifestInput[] = [quickstart, nano, ...architectures];

/**
 * The preset of a name.
 *
 * @throws {ManifestError} that lists the nearest names.
 */
export function preset(name: string): ManifestInput {
  const found = presets.find((p) => p.name === name);
  if (found) return found;
  const names = presets.map((p) => p.name);
  const near = nearest(name, names);
  throw new ManifestError(
    `Cannot find preset ${name}: no such name, wanted ${(near.length > 0 ? near : names).join(", ")}`,
  );
}
