/**
 * `deno task build:emulated`: every .cu file of this folder and the emulator, by the host's C++ compiler, as one
 * library with the C interface of the GPU's. `--checked` builds it with the checker. A file is compiled again when it
 * or a header that it includes is newer than its object, or when it was compiled in another way.
 */
import { basename, dirname, join, relative, resolve } from "@std/path";

/** How kernels are compiled: to run, or to run under the checker. */
export type Mode = "emulated" | "checked";

const folder = new URL(".", import.meta.url).pathname;
const root = dirname(resolve(folder));
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
  const others = filesBelow(folder, ".cu")
    .filter((file) => !file.startsWith(join(folder, "emulator")) && !names.includes(basename(file)));
  const objects = [...await compileKernels([...changed, ...others], mode), ...await compileEmulator(mode)];
  return await link(objects, join(output, `libbowline_cuda_${mode}.so`), ["-shared"]);
}

/** Builds a program of one .cu file and the emulator, and returns its path. */
export async function buildProgram(source: string, mode: Mode): Promise<string> {
  const objects = [...await compileKernels([source], mode), ...await compileEmulator(mode)];
  return await link(objects, join(folder, "build", mode, basename(source, ".cu")), []);
}

/** Builds a library of one C++ file that has nothing to do with kernels, and returns its path. */
export async function buildHostLibrary(source: string): Promise<string> {
  const [object] = await compileAll([source], "emulated", OPTIONS.emulated);
  return await link([object!], join(folder, "build/emulated", `lib${basename(source, ".cpp")}.so`), ["-shared"]);
}

function compileKernels(sources: readonly string[], mode: Mode): Promise<string[]> {
  // the folder itself is for sources that stand elsewhere, in the place of others
  const includes = [`-I${join(folder, "include")}`, `-I${folder}`];
  const args = [...OPTIONS[mode], ...INSTRUMENTED[mode], ...includes, "-x", "c++"];
  return compileAll(sources, mode, args);
}

function compileEmulator(mode: Mode): Promise<string[]> {
  const sources = filesBelow(join(folder, "emulator"), ".cpp")
    .filter((file) => mode === "checked" || !file.includes("/checker/"));
  return compileAll(sources, mode, OPTIONS[mode]);
}

/** All files below a folder with this ending, in the order of their names; not those that were built. */
function filesBelow(path: string, ending: string): string[] {
  return [...Deno.readDirSync(path)].sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap((entry) => {
    const file = join(path, entry.name);
    if (entry.isDirectory) return entry.name === "build" ? [] : filesBelow(file, ending);
    return entry.name.endsWith(ending) ? [file] : [];
  });
}

/** Compiles several files at a time and returns their objects. */
async function compileAll(sources: readonly string[], mode: Mode, args: readonly string[]): Promise<string[]> {
  const objects = sources.map((source) =>
    join(folder, "build", mode, `${relative(root, source).replaceAll("/", "__")}.o`)
  );
  const numbers = sources.keys();
  const work = async () => {
    for (const i of numbers) await compile(sources[i]!, objects[i]!, args);
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, work));
  return objects;
}

async function compile(source: string, object: string, args: readonly string[]): Promise<void> {
  const all = [...COMMON, ...WARNINGS, ...args, "-MMD", "-c", source, "-o", object];
  const command = `${compiler} ${all.join(" ")}\n`;
  if (!isStale(object, command)) return;
  Deno.mkdirSync(dirname(object), { recursive: true });
  await run(all);
  Deno.writeTextFileSync(`${object}.command`, command);
}

/** Whether an object must be made: it is not there, was made in another way, or is older than what it was made of. */
function isStale(object: string, command: string): boolean {
  const made = changed(object);
  if (made === null || changed(`${object}.command`) === null) return true;
  if (Deno.readTextFileSync(`${object}.command`) !== command) return true;
  const rule = Deno.readTextFileSync(object.replace(/\.o$/, ".d"));
  const inputs = rule.slice(rule.indexOf(":") + 1).replaceAll("\\\n", " ").trim().split(/\s+/);
  return isNewer(inputs, made);
}

async function link(objects: readonly string[], output: string, args: readonly string[]): Promise<string> {
  const made = changed(output);
  const list = `${objects.join("\n")}\n`;
  const isSame = made !== null && changed(`${output}.objects`) !== null &&
    Deno.readTextFileSync(`${output}.objects`) === list;
  if (isSame && !isNewer(objects, made)) return output;
  await run([...args, ...objects, "-pthread", "-ldl", "-o", output]);
  Deno.writeTextFileSync(`${output}.objects`, list);
  return output;
}

function isNewer(inputs: readonly string[], made: number): boolean {
  return inputs.some((input) => {
    const time = changed(input);
    return time === null || time > made;
  });
}

/** When a file was last written, or null where it is not there. */
function changed(path: string): number | null {
  try {
    return Deno.statSync(path).mtime!.getTime();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

async function run(args: readonly string[]): Promise<void> {
  const { success } = await new Deno.Command(compiler, { args: [...args], stdout: "inherit", stderr: "inherit" })
    .output();
  if (!success) throw new Error(`Cannot build the kernels: "${compiler} ${args.join(" ")}" failed`);
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
