/** What ptxas says of the kernels that it compiled, and what in it is a fault. */

/** One kernel for one target. */
export interface KernelUse {
  /** The kernel, with the arguments of its template as the linker sees them. */
  readonly kernel: string;
  /** The target, as `sm_80`. */
  readonly target: string;
  /** Registers of a thread. */
  readonly registers: number;
}

/** What a log tells. */
export interface LogReport {
  /** Every kernel of every target. */
  readonly uses: readonly KernelUse[];
  /** Spills, local memory and products of a warpgroup that were made to wait, each with its kernel and target. */
  readonly faults: readonly string[];
}

/** Reads what nvcc printed with `-Xptxas -v`. */
export function readLog(log: string): LogReport {
  const uses: KernelUse[] = [];
  const faults: string[] = [];
  let kernel = "";
  let target = "";
  let isFunction = false;
  const fault = (what: string) => faults.push(`${kernel || "a kernel"}${target && ` for ${target}`}: ${what}`);
  for (const line of log.split("\n")) {
    const entry = /Compiling entry function '(.+)' for '(.+)'/.exec(line);
    if (entry !== null) [kernel, target, isFunction] = [kernelName(entry[1]!), entry[2]!, false];
    const properties = /Function properties for (\S+)/.exec(line);
    // a function that was not inlined has properties of its own, between those of kernels
    if (properties !== null) isFunction = kernelName(properties[1]!) !== kernel;
    const memory = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (memory !== null && memory.slice(1).some((bytes) => bytes !== "0")) {
      fault(`${isFunction ? "a function that it calls has " : ""}${memory[0]}`);
    }
    const registers = /Used (\d+) registers/.exec(line);
    if (registers !== null && !isFunction) uses.push({ kernel, target, registers: Number(registers[1]) });
    const advisory = /\(?C75(08|10|17)\b.*/.exec(line);
    if (advisory !== null) fault(advisory[0]);
  }
  return { uses, faults };
}

/** A kernel's own name, followed by its template's arguments as they are mangled: `forward_kernel<6float4>`. */
export function kernelName(mangled: string): string {
  let at = /^_ZN?K?/.exec(mangled)?.[0].length ?? 0;
  let name = mangled;
  for (let length; (length = /^\d+/.exec(mangled.slice(at))) !== null;) {
    const start = at + length[0].length;
    at = start + Number(length[0]);
    name = mangled.slice(start, at);
  }
  const args = /^I(.+?)E(?:E|v)/.exec(mangled.slice(at));
  return args === null ? name : `${name}<${args[1]}>`;
}
