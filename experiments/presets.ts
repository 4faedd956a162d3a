/** Experiments by name. */
import { ablation, ablationNames } from "./ablation.ts";
import { architectures, mainExperiments } from "./architectures.ts";
import { ManifestError, nearest } from "./errors.ts";
import type { ManifestInput } from "./manifest.ts";
import { nano, quickstart } from "./nano.ts";

/** The presets to start from, quick ones first. */
export const presets: readonly ManifestInput[] = [quickstart, nano, ...architectures];

/**
 * The preset of a name: one of {@linkcode presets}, `<arch>-<scale>-<tie>` or
 * `ablation/<config>/<variant>[-none|-linear][/seed-N]`.
 *
 * @throws {ManifestError} that lists the nearest names.
 */
export function preset(name: string): ManifestInput {
  const found = [...presets, ...mainExperiments].find((p) => p.name === name) ?? ablation(name);
  if (found) return found;
  const starts = presets.map((p) => p.name);
  const near = nearest(name, [...starts, ...mainExperiments.map((p) => p.name), ...ablationNames()]);
  const more = `${starts.join(", ")}, or one that "bowline experiments list" shows`;
  throw new ManifestError(
    `Cannot find preset ${name}: no such name, wanted ${near.length > 0 ? near.join(", ") : more}`,
  );
}
