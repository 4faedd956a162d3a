/** Libraries of NVIDIA's that the kernel library opens when it needs them, where they are. */
import { join } from "@std/path";
import { deviceRequest } from "../ffi/ts/device.ts";
import { messageOf } from "./errors.ts";

/** A library: names of its file as the kernels look for it, best first, and what there is without it. */
export interface Optional {
  readonly name: string;
  /** The variable that names another file. */
  readonly variable: string;
  readonly files: readonly string[];
  readonly without: string;
}

/** All of them; a test compares the names with those in kernels/. */
export const OPTIONAL: readonly Optional[] = [
  {
    name: "cuBLAS",
    variable: "BOWLINE_CUBLAS",
    files: ["libcublas.so.13", "libcublas.so.12"],
    without: "linear maps use the kernels of this project",
  },
  {
    name: "NCCL",
    variable: "BOWLINE_NCCL",
    files: ["libnccl.so.2"],
    without: "several processes cannot train on GPUs",
  },
];

/** Whether there are kernels for GPUs, which are what opens these libraries. */
export function hasKernels(): boolean {
  const named = Deno.env.get("BOWLINE_KERNELS");
  const file = "libbowline_cuda.so";
  const paths = named ? [named, join(named, file)] : deviceRequest({}).folders.map((folder) => join(folder, file));
  return paths.some((path) => path.endsWith(file) && isFile(path));
}

/** Whether a library can be opened, and what follows if not. */
export function describe({ variable, files, without }: Optional): string {
  const named = Deno.env.get(variable);
  if (named === "off") return `off by ${variable}: ${without}`;
  const reasons: string[] = [];
  for (const file of named && named !== "auto" ? [named] : files) {
    try {
      Deno.dlopen(file, {}).close();
      return file;
    } catch (error) {
      reasons.push(messageOf(error).replaceAll("Could not open library: ", ""));
    }
  }
  return `not here, so that ${without}: ${reasons[0]}`;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}
