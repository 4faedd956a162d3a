/** Instructions by function, from a file of callgrind's. */

/** Instructions of a run by function; what a function calls is not counted as its own. */
export type Counts = ReadonlyMap<string, number>;

/**
 * Reads a file written with uncompressed names, in which each function stands as `fn=NAME`, its own instructions as
 * `POSITION COUNT`, and those of a call below `calls=`.
 *
 * @throws {Error} if the functions do not add up to the file's sum.
 */
export function readCallgrind(text: string): Counts {
  const counts = new Map<string, number>();
  let [name, isOfCall, sum] = ["", false, NaN];
  for (const line of text.split("\n")) {
    if (line.startsWith("fn=")) {
      name = line.slice(3).replace(/'\d+$/, ""); // a level of recursion
    } else if (line.startsWith("calls=")) {
      isOfCall = true;
    } else if (line.startsWith("totals:")) {
      sum = Number(line.slice(7));
    } else if (/^[\d+*-]/.test(line)) {
      if (!isOfCall) counts.set(name, (counts.get(name) ?? 0) + Number(line.split(" ")[1]));
      isOfCall = false;
    }
  }
  const found = total(counts);
  if (found !== sum) throw new Error(`Cannot read callgrind's file: its functions have ${found}, wanted ${sum}`);
  return counts;
}

/** Sum of all counts. */
export function total(counts: Counts): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

/** What belongs together, by what a function's name has in it; the first that fits. */
const GROUPS: readonly (readonly [RegExp, (match: RegExpExecArray) => string])[] = [
  [/\bgemm_\w+::.*microkernel|\bgemm_\w+::(?:simd|x86|fma|avx)/, () => "gemm kernels"],
  [/\bgemm_common::.*pack|pack_operands/, () => "gemm packing"],
  [/\bgemm\w*::/, () => "gemm loops"],
  [/\bbowline::cpu::([a-z_0-9]+)::/, (match) => match[1]!],
  [/\bbowline::([a-z_0-9]+)::/, (match) => match[1]!],
  [/\b(?:rayon|rayon_core|crossbeam\w*)::/, () => "threads"],
  [/^_*mem(?:cpy|move|set)/, () => "copies"],
];

/** Instructions by group of functions, most first: products, a group for each file of ops, and what is around them. */
export function byGroup(counts: Counts): Map<string, number> {
  const groups = new Map<string, number>();
  for (const [name, count] of counts) {
    const group = groupOf(name);
    groups.set(group, (groups.get(group) ?? 0) + count);
  }
  return new Map([...groups].toSorted(([, a], [, b]) => b - a));
}

function groupOf(name: string): string {
  for (const [pattern, group] of GROUPS) {
    const match = pattern.exec(name);
    if (match) return group(match);
  }
  return "other";
}

/** What `more` has beyond `less`, function by function. */
export function difference(more: Counts, less: Counts): Counts {
  const names = new Set([...more.keys(), ...less.keys()]);
  return new Map([...names].map((name) => [name, (more.get(name) ?? 0) - (less.get(name) ?? 0)]));
}
