/**
 * nvcc and what it needs: that of `CUDA_HOME`, or else what `deno task toolchain:cuda` installs below `build` from the
 * wheels that toolchain.txt pins.
 */
import { createHash } from "node:crypto";
import { join } from "@std/path";
import { exists, folder, run } from "./objects.ts";

/** A CUDA toolkit. */
export interface Toolchain {
  /** Its folder. */
  readonly root: string;
  /** Its compiler. */
  readonly nvcc: string;
}

/** The oldest toolkit that the kernels are written for. */
const OLDEST = 13;
const pins = join(folder, "toolchain.txt");
const installed = join(folder, "build", "cuda");
const marker = join(installed, "toolchain.sha256");

/**
 * The toolkit that is there, or null.
 *
 * @throws {RangeError} if `CUDA_HOME` names something else.
 */
export async function findToolchain(): Promise<Toolchain | null> {
  const home = Deno.env.get("CUDA_HOME");
  if (home) return await checked(home);
  const isInstalled = exists(marker) && Deno.readTextFileSync(marker) === pinned();
  return isInstalled ? { root: installed, nvcc: join(installed, "bin", "nvcc") } : null;
}

/** The toolkit that is there, or else the pinned one, installed now. */
export async function provideToolchain(): Promise<Toolchain> {
  return await findToolchain() ?? await install();
}

async function checked(home: string): Promise<Toolchain> {
  const nvcc = join(home, "bin", "nvcc");
  if (!exists(nvcc)) throw new RangeError(`Cannot use CUDA_HOME "${home}": it has no bin/nvcc`);
  const { log } = await run(nvcc, ["--version"]);
  const version = /release (\d+)\.\d+/.exec(log);
  if (version === null || Number(version[1]) < OLDEST) {
    throw new RangeError(`Cannot use CUDA_HOME "${home}": it is ${version?.[0] ?? "no CUDA"}; wanted CUDA ${OLDEST}`);
  }
  return { root: home, nvcc };
}

/** Installs the pinned wheels into an environment of its own and keeps their folder; a kill leaves nothing that counts. */
async function install(): Promise<Toolchain> {
  const base = join(folder, "build");
  Deno.mkdirSync(base, { recursive: true });
  const environment = await Deno.makeTempDir({ dir: base, prefix: "toolchain-" });
  try {
    await need("python3", ["-m", "venv", environment], "wanted Python 3 with its module venv, or CUDA_HOME");
    const python = join(environment, "bin", "python");
    const options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary=:all:"];
    await need(python, ["-m", "pip", "install", ...options, "-r", pins], "wanted the network, or CUDA_HOME");
    const { log } = await run(python, ["-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]);
    const root = join(log.trim(), "nvidia", "cu13");
    await Deno.writeTextFile(join(root, "toolchain.sha256"), pinned());
    if (exists(installed)) await Deno.remove(installed, { recursive: true });
    await Deno.rename(root, installed);
  } finally {
    await Deno.remove(environment, { recursive: true });
  }
  return { root: installed, nvcc: join(installed, "bin", "nvcc") };
}

async function need(command: string, args: readonly string[], wanted: string): Promise<void> {
  const say = (reason: string) => new RangeError(`Cannot install the CUDA toolchain: ${reason}; ${wanted}`);
  const outcome = await run(command, args).catch((error) => {
    if (error instanceof Deno.errors.NotFound) throw say(`there is no ${command}`);
    throw error;
  });
  if (outcome.isGood) return;
  const lines = outcome.log.trim().split("\n");
  throw say(lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? `${command} failed`);
}

function pinned(): string {
  return createHash("sha256").update(Deno.readFileSync(pins)).digest("hex");
}

if (import.meta.main) {
  try {
    console.log((await provideToolchain()).root);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(error.message);
    Deno.exit(2);
  }
}
