/**
 * `deno task build:emulated`: every .cu file of this folder and the emulator, by the host's C++ compiler, as one
 * library with the C interface of the GPU's. `--checked` builds it with the checker.
 */
import { basename, join } from "@std/path";
import { compileAll, filesBelow, folder, kernelSources, link } from "./objects.ts";

/** How kernels are compiled: to run, or to run under the checker. */
export type Mode = "emulated" | "checked";

const compiler = Deno.env.get("CXX") ?? "c++";

const COMMON = ["-std=c++20", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-pthread"];
const WARNINGS = ["-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-sign-compare", "-Wno-psabi"];
const OPTIONS: Record<Mode, string[]> = {
  emulated: ["-O2"],
  checked: ["-O1", "-g", "-DEMULATOR_CHECK"],
};
/** The sanitizer's calls before each access, for the kernels only; its own library is never linked. */
const INSTRUMENTED: Record<Mode, string[]> = { emulated: [], checked: ["-fsanitize=thread"] };

/** Whether there is a C++ compiler: `$CXX`, or else `c++`. */
export async function hasCompiler(): Promise<boolean> {
  try {
    return (await new Deno.Command(compiler, { args: ["--version"], stdout: "null", stderr: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Builds the library of all kernels in a folder and returns its path. `changed` names other sources to take in the
 * place of those with the same names; they come first, since a linker keeps the first of equal inline functions.
 */
export async function buildLibrary(
  mode: Mode,
  changed: readonly string[] = [],
  output: string = join(folder, "build"),
): Promise<string> {
  const names = changed.map((file) => basename(file));
  const others = kernelSources().filter((file) => !names.includes(basename(file)));
  const objects = [...await compileKernels([...changed, ...others], mode), ...await compileEmulator(mode)];
  return await linkHost(objects, join(output, `libbowline_cuda_${mode}.so`), ["-shared"]);
}

/** Builds a program of one .cu file and the emulator, and returns its path. */
export async function buildProgram(source: string, mode: Mode): Promise<string> {
  const objects = [...await compileKernels([source], mode), ...await compileEmulator(mode)];
  return await linkHost(objects, join(folder, "build", mode, basename(source, ".cu")), []);
}

/** Builds a library of one C++ file that has nothing to do with kernels, and returns its path. */
export async function buildHostLibrary(source: string): Promise<string> {
  const output = join(folder, "build/emulated", `lib${basename(source, ".cpp")}.so`);
  return await linkHost(await compileHost([source], "emulated", []), output, ["-shared"]);
}

function compileKernels(sources: readonly string[], mode: Mode): Promise<string[]> {
  // the folder itself is for sources that stand elsewhere, in the place of others
  const includes = [`-I${join(folder, "include")}`, `-I${folder}`];
  return compileHost(sources, mode, [...INSTRUMENTED[mode], ...includes, "-x", "c++"]);
}

function compileEmulator(mode: Mode): Promise<string[]> {
  const sources = filesBelow(join(folder, "emulator"), ".cpp")
    .filter((file) => mode === "checked" || !file.includes("/checker/"));
  return compileHost(sources, mode, []);
}

function compileHost(sources: readonly string[], mode: Mode, args: readonly string[]): Promise<string[]> {
  return compileAll(sources, { compiler, name: mode, args: [...COMMON, ...WARNINGS, ...OPTIONS[mode], ...args] });
}

function linkHost(objects: readonly string[], output: string, args: readonly string[]): Promise<string> {
  return link(compiler, objects, output, [...args, "-pthread", "-ldl"]);
}

if (import.meta.main) {
  if (!await hasCompiler()) {
    console.error(
      `Cannot build the kernels: there is no compiler "${compiler}"; wanted a C++20 compiler (CXX names it)`,
    );
    Deno.exit(2);
  }
  console.log(await buildLibrary(Deno.args.includes("--checked") ? "checked" : "emulated"));
}
