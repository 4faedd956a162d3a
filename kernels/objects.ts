/**
 * Compiling and linking for every build of the kernels: several files at a time, and again only what was made of other
 * contents or by another command.
 */
import { createHash } from "node:crypto";
import { dirname, join, relative, resolve } from "@std/path";

/** This folder. */
export const folder = resolve(import.meta.dirname!);
const root = dirname(folder);

/** How a kind of objects is made. */
export interface Recipe {
  /** The compiler. */
  readonly compiler: string;
  /** Its arguments beside those that name files. */
  readonly args: readonly string[];
  /** Folder of the objects below `build`. */
  readonly name: string;
  /** More arguments for an object. */
  readonly argsOf?: (object: string) => readonly string[];
  /** Makes room for what those name. */
  readonly prepare?: (object: string) => void;
  /** Is told of each source that has to be compiled. */
  readonly onCompile?: ((source: string) => void) | undefined;
  /** Looks at what the compiler said of a source before the object counts as made. */
  readonly examine?: (log: string, source: string, object: string) => void;
}

/** The kernels' sources, in the order of their names. */
export function kernelSources(): string[] {
  return filesBelow(folder, ".cu").filter((file) => !file.startsWith(join(folder, "emulator")));
}

/** All files below a folder with this ending, in the order of their names; not those that were built. */
export function filesBelow(path: string, ending: string): string[] {
  return [...Deno.readDirSync(path)].sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap((entry) => {
    const file = join(path, entry.name);
    if (entry.isDirectory) return entry.name === "build" ? [] : filesBelow(file, ending);
    return entry.name.endsWith(ending) ? [file] : [];
  });
}

/** Compiles several files at a time and returns their objects. */
export async function compileAll(sources: readonly string[], recipe: Recipe): Promise<string[]> {
  const objects = sources.map((source) => objectOf(source, recipe.name));
  const numbers = sources.keys();
  const work = async () => {
    for (const i of numbers) await compile(sources[i]!, objects[i]!, recipe);
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, work));
  return objects;
}

/** The object of a source. */
export function objectOf(source: string, name: string): string {
  return join(folder, "build", name, `${relative(root, source).replaceAll("/", "__")}.o`);
}

/** Links objects and returns the output. */
export async function link(
  compiler: string,
  objects: readonly string[],
  output: string,
  args: readonly string[],
): Promise<string> {
  const all = [...objects, ...args, "-o", output];
  if (isMade(output, all, objects)) return output;
  const { isGood, log } = await run(compiler, all);
  if (!isGood) throw failure(compiler, all, log);
  note(output, all, objects);
  return output;
}

async function compile(source: string, object: string, recipe: Recipe): Promise<void> {
  const rule = object.replace(/\.o$/, ".d");
  const args = [...recipe.args, ...recipe.argsOf?.(object) ?? [], "-MMD", "-MF", rule, "-c", source, "-o", object];
  const command = [recipe.compiler, ...args];
  if (exists(rule) && isMade(object, command, inputsOf(rule))) return;
  Deno.mkdirSync(dirname(object), { recursive: true });
  recipe.prepare?.(object);
  recipe.onCompile?.(source);
  const { isGood, log } = await run(recipe.compiler, args);
  recipe.examine?.(log, source, object);
  if (!isGood) throw failure(recipe.compiler, args, log);
  if (recipe.examine === undefined && log !== "") console.error(log);
  note(object, command, inputsOf(rule));
}

/** The files that a compiler read, by the rule that it wrote. */
function inputsOf(rule: string): string[] {
  const text = Deno.readTextFileSync(rule);
  return text.slice(text.indexOf(":") + 1).replaceAll("\\\n", " ").trim().split(/\s+/);
}

/** Whether a file was made by this command of inputs that have the same contents still. */
function isMade(output: string, command: readonly string[], inputs: readonly string[]): boolean {
  const noted = `${output}.inputs`;
  if (!exists(output) || !exists(noted) || !inputs.every(exists)) return false;
  return Deno.readTextFileSync(noted) === digest(command, inputs);
}

function note(output: string, command: readonly string[], inputs: readonly string[]): void {
  Deno.writeTextFileSync(`${output}.inputs`, digest(command, inputs));
}

function digest(command: readonly string[], inputs: readonly string[]): string {
  const hash = createHash("sha256").update(command.join("\n"));
  for (const input of inputs) hash.update(`\n${input}\n`).update(Deno.readFileSync(input));
  return hash.digest("hex");
}

/** Whether there is such a file or folder. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

/** Runs a program and returns whether it ended well, and what it said. */
export async function run(command: string, args: readonly string[]): Promise<{ isGood: boolean; log: string }> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  const text = new TextDecoder();
  return { isGood: success, log: text.decode(stdout) + text.decode(stderr) };
}

function failure(compiler: string, args: readonly string[], log: string): Error {
  return new Error(`Cannot build the kernels: "${compiler} ${args.join(" ")}" failed:\n${log}`);
}
