/** Errors of a manifest: one line that says the key, what it is and what was wanted. */

/** A manifest that cannot be used. A user's mistake: the program ends with exit code 2. */
export class ManifestError extends RangeError {
  /** Dotted path of the key at fault, such as `model.topK`; empty if it is not about one key. */
  readonly path: string;
  /** Process exit code. */
  readonly exitCode = 2;

  /** Makes an error about the key at `path`. */
  constructor(message: string, path = "") {
    super(message);
    this.name = "ManifestError";
    this.path = path;
  }
}

/** The error for a key whose value does not do: `Cannot use model.topK: 9, wanted at most 8`. */
export function unusable(path: string, is: unknown, wanted: string): ManifestError {
  return new ManifestError(`Cannot use ${path}: ${show(is)}, wanted ${wanted}`, path);
}

/** The error for a key that does not exist, with the nearest one that does. */
export function unknownKey(path: string, paths: readonly string[]): ManifestError {
  const section = path.split(".").slice(0, -1).join(".");
  const siblings = paths.filter((p) => p.split(".").slice(0, -1).join(".") === section);
  const [near] = nearest(path, paths, 1);
  const wanted = near ?? `one of ${(siblings.length > 0 ? siblings : paths).join(", ")}`;
  return new ManifestError(`Cannot use ${path}: unknown key, wanted ${wanted}`, path);
}

/** The at most `count` candidates nearest to a word, best first; none of those that are not alike. */
export function nearest(word: string, candidates: readonly string[], count = 3): string[] {
  const last = (path: string) => path.slice(path.lastIndexOf(".") + 1);
  return candidates
    // A right key under a wrong section is one mistake, however long the section's name is; so is a missing end.
    .map((name) => ({ name, isClose: last(name) === last(word) || name.startsWith(word) }))
    .map(({ name, isClose }) => ({ name, distance: Math.min(editDistance(word, name), isClose ? 1 : Infinity) }))
    .filter(({ name, distance }) => distance <= Math.max(2, Math.ceil(Math.min(word.length, name.length) / 3)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ name }) => name);
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(replace, above[j]! + 1, row[j - 1]! + 1, isSwap ? before[j - 2]! + 1 : Infinity);
    }
    [before, above] = [above, row];
  }
  return above[b.length]!;
}

function show(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "number") return String(value); // JSON has no NaN and no Infinity
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 60 ? `${json.slice(0, 57)}...` : json;
}
