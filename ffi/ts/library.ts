/**
 * The native core as a process-wide singleton: opened at first use, never closed, since closing a library during a call
 * crashes and nothing is won by it.
 */
import { join } from "@std/path";
import { BowlineError, Status } from "./status.ts";
import { ABI_VERSION, type Library, SYMBOLS } from "./symbols.ts";

/** What the core says about itself. */
export interface CoreInfo {
  /** Version of the core. */
  readonly version: string;
  /** Version of its C interface. */
  readonly abi: number;
  /** Instruction set chosen at run time. */
  readonly isa: string;
  /** Threads used by default. */
  readonly threads: number;
}

let opened: { symbols: Library["symbols"]; path: string } | undefined;
let carried: (() => string) | undefined;

/** Lets a program that carries the libraries say in which folder they are; it is asked when one is first used. */
export function carryLibraries(folder: () => string): void {
  carried = folder;
}

/** The functions of the core. */
export function core(): Library["symbols"] {
  return (opened ??= open()).symbols;
}

/** Where the core was loaded from. */
export function corePath(): string {
  return (opened ??= open()).path;
}

/** Version, instruction set and threads of the core. */
export function coreInfo(): CoreInfo {
  return readJson((out, status) => core().bowline_info(out, out.length, status));
}

/**
 * Speed of this machine's multiply-add units, which bounds how fast training can be.
 *
 * @param threads Threads that run the loop; 0 means all cores.
 * @returns GFLOP/s of a loop that touches registers only.
 */
export function probe(threads = 0): Promise<number> {
  return core().bowline_probe(threads);
}

/** Calls `fill` with a buffer, and again with a larger one if that was too small, and parses what it wrote. */
export function readJson<T>(
  fill: (out: Uint8Array<ArrayBuffer>, status: Uint8Array<ArrayBuffer>) => number,
  parse: (text: string) => unknown = JSON.parse,
): T {
  let out = new Uint8Array(16 * 1024);
  while (true) {
    const status = new Status();
    const length = fill(out, status.bytes);
    status.check();
    if (length <= out.length) return parse(new TextDecoder().decode(out.subarray(0, length))) as T;
    out = new Uint8Array(length);
  }
}

/** A text as the core takes it. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function open(): { symbols: Library["symbols"]; path: string } {
  const candidates = libraryCandidates();
  const failures: string[] = [];
  for (const path of candidates) {
    let library: Library;
    try {
      library = Deno.dlopen(path, SYMBOLS);
    } catch (error) {
      // Asking the file system first would need --allow-read; a library that is only absent is no reason to stop.
      const reason = error instanceof Error ? error.message.split("\n")[0]! : String(error);
      if (!/No such file|cannot find|could not be found/i.test(reason)) failures.push(reason);
      continue;
    }
    const abi = library.symbols.bowline_abi_version();
    if (abi === ABI_VERSION) return { symbols: library.symbols, path };
    throw new BowlineError(
      "library",
      `Cannot use the core ${path}: its ABI is ${abi}, ${ABI_VERSION} is wanted; run "deno task build"`,
    );
  }
  const found = failures.length > 0 ? failures.join("; ") : `it is at none of ${candidates.join(", ")}`;
  throw new BowlineError("library", `Cannot load the core: ${found}; run "deno task build"`);
}

/** Where the library may be, best first. `BOWLINE_CORE` names it, and then nothing else is tried. */
export function libraryCandidates(): string[] {
  const named = environment("BOWLINE_CORE");
  if (named) return [named];
  const file = { windows: "bowline.dll", darwin: "libbowline.dylib" }[Deno.build.os as string] ?? "libbowline.so";
  if (carried) return [join(carried(), file)];
  const here = import.meta.dirname;
  const targets = [here && join(here, "..", "target"), environment("CARGO_TARGET_DIR")];
  return targets.filter((target) => target !== undefined).map((target) => join(target, "release", file));
}

/** An environment variable, or undefined where reading it is not granted: a library does not ask for permissions. */
function environment(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}
