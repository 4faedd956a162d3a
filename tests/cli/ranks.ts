/** Several processes of the program that train together, started by mpirun. */
import { join } from "@std/path";
import { finish, FLAGS, MAIN, micro, type Outcome, stepFolder, type Workspace } from "./program.ts";

/** A manifest whose batch 1, 2 and 4 processes can share. */
export const shared = {
  ...micro,
  train: { ...micro.train, batch: 4, accumulation: 2 },
  checkpoint: { every: 10, keep: 3 },
};

/**
 * Whether there is an mpirun; else the caller's tests are skipped, and a line says so. In CI a missing one is a failure.
 */
export function hasMpirun(): boolean {
  try {
    return new Deno.Command("mpirun", { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) || Deno.env.get("CI") === "true") throw error;
    console.log("skip tests of several processes: there is no mpirun (apt-get install openmpi-bin)");
    return false;
  }
}

/** What lets Open MPI run in a container, and on fewer cores than it has processes. */
const MPI = {
  OMPI_ALLOW_RUN_AS_ROOT: "1",
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
  OMPI_MCA_btl_vader_single_copy_mechanism: "none",
  // Seconds from Ctrl-C until it asks the processes to end, and again until it kills them: they save a checkpoint.
  OMPI_MCA_odls_base_sigkill_timeout: "5",
};

/** Starts `world` processes that train a manifest into a folder. */
export function startRanks(workspace: Workspace, world: number, manifest: string, out: string, ...args: string[]) {
  const program = [Deno.execPath(), ...FLAGS, MAIN, "train", manifest, "--out", out, "--threads", "1", ...args];
  const env = { ...MPI, BOWLINE_CACHE: workspace.at("cache"), NO_COLOR: "1" };
  const options = { cwd: workspace.path, env, stdout: "piped", stderr: "piped" } as const;
  const launch = ["--oversubscribe", "--bind-to", "none", "-n", String(world)];
  return new Deno.Command("mpirun", { args: [...launch, ...program], ...options }).spawn();
}

/** Trains with `world` processes, or with one and no mpirun; fails the test if that fails. */
export async function trainRanks(
  workspace: Workspace,
  world: number,
  manifest: string,
  out: string,
  ...args: string[]
): Promise<Outcome> {
  const outcome = world === 1
    ? await workspace.run("train", manifest, "--out", out, ...args)
    : await finish(startRanks(workspace, world, manifest, out, ...args));
  if (outcome.code !== 0) throw new Error(`training with ${world} processes failed: ${outcome.stderr}`);
  return outcome;
}

/** The numbers of a run's checkpoint: weights, then the optimizer's. */
export async function numbers(workspace: Workspace, out: string, step: number): Promise<[Float32Array, Float32Array]> {
  const read = async (file: string) => {
    const bytes = await Deno.readFile(join(workspace.at(out, "checkpoints", stepFolder(step)), file));
    const header = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    return new Float32Array(bytes.buffer.slice(8 + header));
  };
  return [await read("model.safetensors"), await read("optimizer.safetensors")];
}

/** The largest difference of two lists of numbers; NaN where one is none, or the lists differ in length. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length || a.length === 0) return NaN;
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}
