/** What a run ran on: versions, commit, machine. */
import config from "../../deno.json" with { type: "json" };
import { type CoreInfo, coreInfo } from "../../ffi/ts/library.ts";

/** Version of the program. */
export const VERSION: string = config.version;

/** The record that a run keeps of its surroundings. */
export interface Environment {
  /** Versions of the parts. */
  readonly versions: { bowline: string; deno: string; v8: string; typescript: string };
  /** The core: its version, ABI, instruction set. */
  readonly core: CoreInfo;
  /** Operating system and architecture. */
  readonly system: string;
  /** Threads that the run uses. */
  readonly threads: number;
  /** Commit of the program's source, and whether it was changed; null outside a repository. */
  readonly git: { commit: string; dirty: boolean } | null;
}

/** Describes this process and its machine; `threads` 0 means the core's choice. */
export function describeEnvironment(threads = 0): Environment {
  const core = coreInfo();
  return {
    versions: { bowline: VERSION, ...Deno.version },
    core,
    system: `${Deno.build.os} ${Deno.build.arch}`,
    threads: threads || core.threads,
    git: gitState(),
  };
}

function gitState(): Environment["git"] {
  const commit = git("rev-parse", "HEAD");
  return commit === undefined ? null : { commit, dirty: git("status", "--porcelain") !== "" };
}

/** The output of git in the program's folder; undefined if there is no git, no repository or no permission to ask. */
function git(...args: string[]): string | undefined {
  const cwd = import.meta.dirname;
  if (!cwd || Deno.permissions.querySync({ name: "run", command: "git" }).state !== "granted") return undefined;
  try {
    const { success, stdout } = new Deno.Command("git", { args, cwd, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
