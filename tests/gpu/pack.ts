/** What `deno task gpu --pack` carries to a machine that has a GPU and Python, but no Rust, Deno and network. */
import { basename, dirname, join } from "@std/path";
import { corePath } from "../../ffi/ts/library.ts";
import { exists } from "../../kernels/objects.ts";
import { plainImports } from "../imports.ts";

const root = new URL("../../", import.meta.url).pathname;
/** Sources of the program, of the kernels and of these checks. */
const SOURCES = ["cli", "deno.json", "experiments", "ffi/ts", "kernels", "mod.ts", "tests/gpu", "tests/imports.ts"]
  .concat("tests/parity");
/** Packages that these do not use. */
const UNUSED = /^(@stdlib|gpt-tokenizer)/;

/** Golden cases that go along: a family each, and wider tied banks. */
const CASES = /^(olmoe-g4|olmoe-g4-w2x|qwen3moe-g4|deepseek-g2)\./;

/** Golden cases where developers have them. */
export const GOLDEN = join(Deno.env.get("BOWLINE_SHARED") ?? join(root, "..", "shared"), "golden", "arch");

/** What is built and goes along. */
export interface Carried {
  /** The kernel library. */
  readonly library: string;
  /** Folder of golden cases, or null for none. */
  readonly golden: string | null;
}

/** Builds the program of the op tests and returns its path. */
export async function buildOps(): Promise<string> {
  const args = ["test", "--locked", "--no-run", "--test", "ops", "--message-format=json-render-diagnostics"];
  const { success, stdout } = await new Deno.Command("cargo", {
    args: [...args, "--manifest-path", join(root, "ffi", "Cargo.toml")],
    stderr: "inherit",
  }).output();
  const path = /"executable":"([^"]+)"/.exec(new TextDecoder().decode(stdout))?.[1];
  if (!success || path === undefined) throw new Error("Cannot build the op tests: cargo failed");
  return path;
}

/** Writes the folder: run.sh and an archive that it unpacks. Returns what was written. */
export async function pack(target: string, carried: Carried): Promise<string> {
  if (exists(target)) throw new RangeError(`Cannot pack into ${target}: it exists; wanted a new folder`);
  await Deno.mkdir(target, { recursive: true });
  const inside = await Deno.makeTempDir({ dir: target });
  await layOut(inside, carried);
  await Deno.copyFile(Deno.execPath(), join(inside, "deno"));
  const archive = join(target, "bowline.tar.xz");
  await run("tar", ["-C", inside, "-c", "-I", "xz -6 -T0", "-f", archive, "."]);
  await Deno.copyFile(join(inside, "run.sh"), join(target, "run.sh"));
  await Deno.remove(inside, { recursive: true });
  return `${target}: run.sh and ${((await Deno.stat(archive)).size / 1e6).toFixed(0)} MB`;
}

/** Lays everything but Deno into an empty folder as run.sh wants it. */
export async function layOut(folder: string, { library, golden }: Carried): Promise<void> {
  const { stdout } = await new Deno.Command("git", { args: ["ls-files", ...SOURCES], cwd: root }).output();
  const sources = new TextDecoder().decode(stdout).trim().split("\n");
  for (const path of sources) await copy(join(root, path), join(folder, path));
  await Deno.rename(join(folder, "tests", "gpu", "run.sh"), join(folder, "run.sh"));
  await copy(corePath(), join(folder, "ffi", "target", "release", basename(corePath())));
  await copy(library, join(folder, "kernels", "build", basename(library)));
  await run("strip", ["-o", join(folder, "ops"), await buildOps()]);
  if (golden !== null) {
    for await (const { name } of Deno.readDir(golden)) {
      if (CASES.test(name)) await copy(join(golden, name), join(folder, "golden", name));
    }
  }
  const packages = join("node_modules", ".deno");
  await Deno.mkdir(join(folder, packages), { recursive: true });
  const names = await Array.fromAsync(Deno.readDir(join(root, packages)), ({ name }) => name);
  const used = names.filter((name) => !UNUSED.test(name) && !name.startsWith("."));
  await run("cp", ["-a", ...used.map((name) => join(root, packages, name)), join(folder, packages)]);
  for await (const { name, isSymlink } of Deno.readDir(join(root, "node_modules"))) {
    if (isSymlink && !UNUSED.test(name)) {
      await run("cp", ["-a", join(root, "node_modules", name), join(folder, "node_modules")]);
    }
  }
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify({ imports: await plainImports() }));
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(dirname(to), { recursive: true });
  await Deno.copyFile(from, to);
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  if (!success) throw new Error(`Cannot pack: ${command} failed: ${new TextDecoder().decode(stderr).trim()}`);
}
