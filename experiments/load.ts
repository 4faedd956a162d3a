/** Where commands get their manifest: a preset or a file, and the changes of the command line. */
import { resolve, toFileUrl } from "@std/path";
import { manifest } from "./complete.ts";
import { ManifestError } from "./errors.ts";
import type { Manifest, ManifestInput } from "./manifest.ts";
import { preset } from "./presets.ts";
import { assign, type Assignment, parseAssignment } from "./set.ts";

/** Changes of the command line, applied in this order. */
export interface Overrides {
  /** Text files to train on in place of what the manifest names; the end of them is held out. */
  data?: readonly string[] | undefined;
  /** `tie.groupSize` */
  tie?: number | undefined;
  /** `tie.expand`: experts of a middle bank. */
  expand?: number | undefined;
  /** `train.seed` */
  seed?: number | undefined;
  /** `path=value` for any key. */
  set?: readonly string[] | undefined;
}

/** One file is one document, so that holding out whole documents would leave a single file with nothing to evaluate. */
const TAIL = { kind: "tail", fraction: 0.05 };

/**
 * The complete manifest of a preset's name, of a `.json` file, or of a `.ts` file that exports one, with `overrides`.
 *
 * @throws {ManifestError} if there is no such preset or file, the file holds no manifest, or the result cannot be used.
 */
export async function loadManifest(source: string, overrides: Overrides = {}): Promise<Manifest> {
  return manifest(assign(await read(source), assignments(overrides)));
}

function assignments({ data, tie, expand, seed, set }: Overrides): Assignment[] {
  const files = data && [
    { path: "data.corpus", value: null },
    { path: "data.files", value: data },
    { path: "data.sources", value: [] },
    { path: "data.order", value: "shuffled-windows" },
    { path: "data.separatorPlacement", value: "before" },
    { path: "data.heldOut", value: TAIL },
  ];
  const single = [
    { path: "tie.groupSize", value: tie },
    { path: "tie.expand", value: expand },
    { path: "train.seed", value: seed },
  ];
  return [...files ?? [], ...single.filter(({ value }) => value !== undefined), ...(set ?? []).map(parseAssignment)];
}

async function read(source: string): Promise<ManifestInput> {
  const isModule = source.endsWith(".ts");
  if (!isModule && !source.endsWith(".json")) return preset(source);
  try {
    return isModule
      ? exported(source, await import(toFileUrl(resolve(source)).href))
      : JSON.parse(await Deno.readTextFile(source));
  } catch (error) {
    if (error instanceof ManifestError) throw error;
    const isMissing = error instanceof Deno.errors.NotFound || Object(error).code === "ERR_MODULE_NOT_FOUND";
    const [reason] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new ManifestError(`Cannot read ${source}: ${isMissing ? "no such file" : reason}, wanted a manifest`);
  }
}

/** The default export of a module, or its only export that looks like a manifest. */
function exported(source: string, module: Record<string, unknown>): ManifestInput {
  const found = Object.entries(module).filter(([, value]) => Object(value) === value && "model" in Object(value));
  const [, value] = found.find(([name]) => name === "default") ?? (found.length === 1 ? found[0]! : []);
  if (value === undefined) {
    const names = found.map(([name]) => name).join(", ");
    throw new ManifestError(
      `Cannot use ${source}: it exports ${names || "no manifest"}, wanted one manifest or a default`,
    );
  }
  return value as ManifestInput;
}
