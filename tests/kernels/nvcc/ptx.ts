/** What the PTX of kernels has to contain, and what it must not. */

/** What is asked of the kernels of one file that have this name. */
export interface Rule {
  /** The file's stem. */
  readonly file: string;
  /** Names of kernels, as `kernelName` gives them. */
  readonly kernel: RegExp;
  /** How many there are. */
  readonly count: number;
  /** Targets, as `90a`. */
  readonly targets: readonly string[];
  /** Instructions that each of them has. */
  readonly has: readonly string[];
}

/** A function of kernels/include/ptx, and the instruction that a file that calls it must have in some kernel. */
export interface Instruction {
  /** The function. */
  readonly call: RegExp;
  /** Targets that it is compiled for. */
  readonly targets: readonly string[];
  /** The instruction. */
  readonly has: string;
}

/** PTX by kernel, of one file for one target. */
export type Kernels = ReadonlyMap<string, string>;

/** Faults of a rule; that more or fewer kernels have the name is one. */
export function breaches(rule: Rule, target: string, kernels: Kernels): string[] {
  const found = [...kernels].filter(([name]) => rule.kernel.test(name));
  const where = `${rule.file} for sm_${target}`;
  if (found.length !== rule.count) return [`${where}: ${found.length} kernels ${rule.kernel}, wanted ${rule.count}`];
  return found.flatMap(([name, ptx]) =>
    rule.has.filter((instruction) => !ptx.includes(instruction)).map((instruction) =>
      `${where}: ${name} has no ${instruction}`
    )
  );
}

/** Faults of a file's kernels whatever they are: local memory, and instructions that are called for but not there. */
export function commonBreaches(
  file: string,
  source: string,
  target: string,
  kernels: Kernels,
  instructions: readonly Instruction[],
): string[] {
  const where = `${file} for sm_${target}`;
  const local = [...kernels].filter(([, ptx]) => /\.local\b/.test(ptx)).map(([name]) => `${where}: ${name} has .local`);
  const missing = instructions.filter(({ call, targets, has }) =>
    targets.includes(target) && call.test(source) && ![...kernels.values()].some((ptx) => ptx.includes(has))
  );
  return [...local, ...missing.map(({ call, has }) => `${where}: ${call} is called and no kernel has ${has}`)];
}
