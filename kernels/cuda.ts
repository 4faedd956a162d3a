/**
 * `deno task build:cuda`: every .cu file of this folder by nvcc, as build/libbowline_cuda.so. Spills, local memory and
 * warnings are errors, for one target more than the library has. The PTX of each target is kept beside the objects.
 */
import { basename, join } from "@std/path";
import { kernelName, type KernelUse, readLog } from "./nvcc_log.ts";
import { compileAll, exists, folder, kernelSources, link, objectOf, type Recipe } from "./objects.ts";
import { provideToolchain, type Toolchain } from "./toolchain.ts";

/** Compute capabilities that there is code for. For a card of 9.0 it is that of 90a alone, which has wgmma. */
const LINKED = ["80", "90a"] as const;
/** Compiled and looked at only: code for 90 beside that of 90a would leave it to the driver which one runs. */
const UNLINKED = ["90"] as const;
/** All of them. */
export const TARGETS = [...LINKED, ...UNLINKED] as const;

const ARGS = [
  "-std=c++20",
  "-O3",
  "-Werror=all-warnings",
  "-Xptxas=-v,-warn-spills,-warn-lmem-usage",
  "-Xcompiler=-fPIC,-fvisibility=hidden",
  `-I${join(folder, "include")}`,
];
const LINK_ARGS = ["-shared", "-cudart=static", "-Xlinker=--exclude-libs=ALL"];

/** One of them. */
export type Target = typeof TARGETS[number];

/** A library for GPUs. */
export interface CudaBuild {
  /** Its path. */
  readonly library: string;
  /** The kernels, for each target. */
  readonly uses: readonly (KernelUse & { readonly file: string })[];
}

/** Builds the library of all kernels; `onCompile` is told of each file that takes its seconds. */
export async function buildCuda(toolchain: Toolchain, onCompile?: (source: string) => void): Promise<CudaBuild> {
  const { objects, uses } = await compileCuda(toolchain, kernelSources(), LINKED, onCompile);
  const others = await compileCuda(toolchain, kernelSources(), UNLINKED, onCompile);
  const output = join(folder, "build", "libbowline_cuda.so");
  // nvcc looks for libraries in lib64, the wheels have lib
  const library = await link(toolchain.nvcc, objects, output, [...LINK_ARGS, `-L${join(toolchain.root, "lib")}`]);
  return { library, uses: [...uses, ...others.uses] };
}

/**
 * Compiles sources for some targets.
 *
 * @throws {Error} that names kernel and target, where a kernel spills or uses local memory.
 */
export async function compileCuda(
  toolchain: Toolchain,
  sources: readonly string[],
  targets: readonly Target[],
  onCompile?: (source: string) => void,
): Promise<{ objects: string[]; uses: CudaBuild["uses"] }> {
  const recipe: Recipe = {
    compiler: toolchain.nvcc,
    name: nameOf(targets[0]!),
    args: [...ARGS, ...targets.map((target) => `-gencode=arch=compute_${target},code=sm_${target}`)],
    onCompile,
    argsOf: (object) => ["--keep", `--keep-dir=${keptIn(object)}`],
    prepare: (object) => {
      if (exists(keptIn(object))) Deno.removeSync(keptIn(object), { recursive: true });
      Deno.mkdirSync(keptIn(object), { recursive: true });
    },
    examine: (log, source, object) => {
      const { faults } = readLog(log);
      if (faults.length > 0) {
        throw new Error(`Cannot build the kernels: ${basename(source)} has to stay in registers\n${faults.join("\n")}`);
      }
      Deno.writeTextFileSync(`${object}.log`, log);
      for (const { name } of [...Deno.readDirSync(keptIn(object))]) {
        if (!name.endsWith(".ptx")) Deno.removeSync(join(keptIn(object), name));
      }
    },
  };
  const objects = await compileAll(sources, recipe);
  const uses = objects.flatMap((object, i) =>
    readLog(Deno.readTextFileSync(`${object}.log`)).uses.map((use) => ({ file: basename(sources[i]!, ".cu"), ...use }))
  );
  return { objects, uses };
}

/** The PTX of a source's kernels for a target, by name; it was compiled before. */
export function readPtx(source: string, target: Target): Map<string, string> {
  const kept = keptIn(objectOf(source, nameOf(target)));
  // nvcc names the target where there are several
  const ending = (UNLINKED as readonly Target[]).includes(target) ? ".ptx" : `.compute_${target}.ptx`;
  const file = [...Deno.readDirSync(kept)].find(({ name }) => name.endsWith(ending));
  if (file === undefined) throw new Error(`Cannot read the PTX of ${basename(source)}: there is none for ${target}`);
  return splitPtx(Deno.readTextFileSync(join(kept, file.name)));
}

/** The text of each kernel by its name, with the functions that follow it; assembly may have lines like its last one. */
export function splitPtx(text: string): Map<string, string> {
  const parts = text.split(/^(?=(?:\.\w+ )*\.entry )/m).slice(1);
  return new Map(parts.map((part) => [kernelName(/\.entry (\w+)/.exec(part)![1]!), part]));
}

/** Folder of the objects that have code for a target. */
function nameOf(target: Target): string {
  return (UNLINKED as readonly Target[]).includes(target) ? "cuda-unlinked" : "cuda-objects";
}

function keptIn(object: string): string {
  return object.replace(/\.o$/, ".ptx");
}

if (import.meta.main) {
  try {
    const say = (source: string) => console.error(`nvcc ${basename(source)}`);
    const { library, uses } = await buildCuda(await provideToolchain(), say);
    if (Deno.args.includes("--registers")) {
      for (const { file, kernel, target, registers } of uses) console.log(`${file} ${kernel} ${target} ${registers}`);
    }
    const most = uses.reduce((a, b) => (a.registers < b.registers ? b : a));
    const targets = TARGETS.map((target) => `sm_${target}`).join(", ");
    const worst = `${most.registers} registers (${most.file} ${most.kernel}, ${most.target})`;
    console.log(`${uses.length / TARGETS.length} kernels for each of ${targets}, at most ${worst}`);
    console.log(library);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(error instanceof RangeError ? 2 : 1);
  }
}
