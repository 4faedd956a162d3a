/** Job scripts in bash: one per run, and one that starts them all. */
import { join } from "@std/path";
import { thisProgram } from "./program.ts";
import { type Selected, type SelectOptions, trainArguments } from "./select.ts";

/** How scripts run experiments. */
export interface ScriptOptions extends SelectOptions {
  /** What runs the scripts. */
  readonly scheduler: "slurm" | "shell";
  /** Absolute path of the scripts' folder. */
  readonly folder: string;
  /** Starts of a run after the first. */
  readonly retries: number;
  /** Time limit of a slurm job. */
  readonly time: string;
  /** Further lines for sbatch. */
  readonly directive?: readonly string[] | undefined;
  /** Shell words that start this program; as it was started now if there are none. */
  readonly program?: string | undefined;
  /** Threads of each run. */
  readonly threads?: number | undefined;
}

/** The scripts of these experiments: absolute paths with their texts. */
export function jobScripts(selected: readonly Selected[], options: ScriptOptions): Map<string, string> {
  const name = ({ manifest }: Selected) => `${manifest.name}.sh`;
  const body = options.scheduler === "slurm" ? slurmJob : shellJob;
  return new Map([
    ...selected.map((one) => [join(options.folder, name(one)), body(one, options)] as const),
    [join(options.folder, "submit.sh"), submitAll(selected.map(name), options.scheduler)],
  ]);
}

/** How long mpirun lets processes that it has asked to end save a checkpoint. */
const SAVING_SECONDS = 60;

/** What starts one process for each GPU, where there are several. */
function launcher(gpus: number, scheduler: ScriptOptions["scheduler"]): string {
  if (gpus === 1) return "";
  return scheduler === "slurm"
    ? `srun --ntasks-per-node=${gpus} --kill-on-bad-exit=1 `
    : `mpirun -n ${gpus} --bind-to none --mca odls_base_sigkill_timeout ${SAVING_SECONDS} `;
}

/** What both kinds of job share: where they are, and what they run. */
function setup(selected: Selected, { program, threads, ...options }: ScriptOptions): string {
  const launch = launcher(selected.gpus, options.scheduler);
  return `set -u
cd ${quote(Deno.cwd())} || exit 1
name=${quote(selected.manifest.name)}
retries=${options.retries}
train=(${launch}${program ?? words(thisProgram())} ${words(trainArguments(selected, options, threads))})`;
}

/** Exit codes after which another start would not help: done, a mistake in the experiment, Ctrl-C. */
const FINAL = "0 | 2 | 130";

function shellJob(selected: Selected, options: ScriptOptions): string {
  const gpus = Array.from({ length: selected.gpus }, (_, i) => i).join(",");
  return `#!/usr/bin/env bash
# Trains ${selected.manifest.name}, starting again after a failure. Run it again to go on.
${setup(selected, options)}
export CUDA_VISIBLE_DEVICES="\${CUDA_VISIBLE_DEVICES:-${gpus}}"
for ((attempt = 0; attempt <= retries; attempt++)); do
  "\${train[@]}"
  code=$?
  case $code in ${FINAL}) exit $code ;; esac
  echo "$name: attempt $((attempt + 1)) of $((retries + 1)) ended with exit code $code" >&2
done
exit $code
`;
}

function slurmJob(selected: Selected, options: ScriptOptions): string {
  const { name } = selected.manifest;
  const directives = [
    `--job-name=${name}`,
    "--nodes=1",
    `--ntasks-per-node=${selected.gpus}`,
    `--gpus-per-node=${selected.gpus}`,
    `--time=${options.time}`,
    "--requeue",
    "--open-mode=append",
    `--output="${join(options.folder, `${name}.log`)}"`,
    // Two minutes before the time limit, to this script only: long enough to save a checkpoint.
    "--signal=B:TERM@120",
    ...options.directive ?? [],
  ];
  return `#!/usr/bin/env bash
${directives.map((directive) => `#SBATCH ${directive}`).join("\n")}
# Trains ${name}. The job is put back into the queue after a failure and at its time limit.
${setup(selected, options)}
# Where the processes find each other: jobs on one machine must not share it.
export MASTER_PORT="\${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 20000))}"
stopping=
trap 'stopping=yes; kill -TERM $(jobs -p)' TERM
"\${train[@]}" &
child=$!
wait "$child"
code=$?
# The signal ends the first wait; the second waits for the checkpoint.
if [ -n "$stopping" ]; then wait "$child"; code=$?; fi
case $code in 0 | 2) exit $code ;; esac
if [ "\${SLURM_RESTART_COUNT:-0}" -lt "$retries" ]; then
  echo "$name: ended with exit code $code, back into the queue" >&2
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
`;
}

function submitAll(scripts: readonly string[], scheduler: ScriptOptions["scheduler"]): string {
  const isSlurm = scheduler === "slurm";
  return `#!/usr/bin/env bash
# ${isSlurm ? "Submits every job of this folder." : "Runs every script of this folder, one after the other."}
set -u
here=$(cd "$(dirname "\${BASH_SOURCE[0]}")" && pwd) || exit 1
scripts=(
${scripts.map((script) => `  ${quote(script)}`).join("\n")}
)
failed=()
for script in "\${scripts[@]}"; do
  ${isSlurm ? "sbatch" : "bash"} "$here/$script"
  code=$?
${
    isSlurm
      ? ""
      : "  if [ $code -eq 130 ]; then exit 130; fi # Ctrl-C\n"
  }  if [ $code -ne 0 ]; then failed+=("$script"); fi
done
if [ \${#failed[@]} -gt 0 ]; then
  echo "error: \${#failed[@]} of \${#scripts[@]} failed: \${failed[*]}" >&2
  exit 1
fi
`;
}

function words(args: readonly string[]): string {
  return args.map(quote).join(" ");
}

/** A word as bash reads it back. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
