/** `bowline experiments submit`: scripts that run a whole grid elsewhere. */
import { Command, EnumType, ValidationError } from "@cliffy/command";
import { dirname, join, relative, resolve } from "@std/path";
import { deviceOption, deviceType, PRECISION, precisionType } from "../device.ts";
import { checkAtLeast } from "../errors.ts";

const SCHEDULERS = ["slurm", "shell"] as const;
/** Jobs are for machines with GPUs. */
const DEVICE = "cuda";

/** The command `submit [presets|files]`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function submitCommand() {
  return new Command()
    .description(
      "Write a script for each run, and submit.sh, which starts them all. A script goes on from the run's newest " +
        "checkpoint and starts again after a failure. A run of the main study gets 4 GPUs, any other one.",
    )
    .arguments("[...experiments:string]")
    .type("device", deviceType)
    .type("precision", precisionType)
    .type("scheduler", new EnumType(SCHEDULERS))
    .option("--scheduler <name:scheduler>", "slurm: one job per run; shell: one run after the other.", {
      required: true,
    })
    .option("--out <folder:file>", "Folder of the scripts.", { required: true })
    .option("--study <name:string>", "The runs of this study: ablation, main or nano.")
    .option("--architecture <name:string>", "Those of this architecture, such as vanilla or olmoe.")
    .option("--section <name:string>", "Those of this section of a study's table, such as fine or tiny.")
    .option("--runs <folder:file>", "Folder of all runs; that of a run is FOLDER/NAME.", { default: "runs" as string })
    .option("--retries <n:integer>", "Start a run again at most so many times.", { default: 5 as number })
    .option("--time <limit:string>", "Time limit of a slurm job.", { default: "24:00:00" as string })
    .option("--directive <text:string>", "A further #SBATCH line, such as --partition=gpu. Repeatable.", {
      collect: true,
    })
    .option("--program <command:string>", "What starts bowline there, in shell words (default: as here).")
    .option(...deviceOption(DEVICE))
    .option(...PRECISION)
    .option("--threads <n:integer>", "CPU threads of each run (default: all that it is given).")
    .option("--set <assignment:string>", "Set a key of every manifest: path=value. Repeatable.", { collect: true })
    .option("--data <...files:file>", "Train on these text files; the last 5% of their tokens are held out.")
    .option("--force", "Replace scripts that are there.")
    .example(
      "The ablation on a cluster",
      "bowline experiments submit --study ablation --scheduler slurm --out jobs --directive=--partition=gpu\nbash jobs/submit.sh",
    )
    .example(
      "Two runs, one after the other, on a machine with bowline in a container",
      'bowline experiments submit olmoe-tiny-g1 olmoe-tiny-g4 --scheduler shell --out jobs --program "apptainer exec --nv bowline.sif bowline"',
    )
    .action(async ({ study, architecture, section, data, out, scheduler, force, ...options }, ...names) => {
      checkAtLeast("--retries", options.retries, 0);
      checkAtLeast("--threads", options.threads, 1);
      if (scheduler === "shell" && options.directive) {
        throw new ValidationError("Cannot use --directive with the scheduler shell: wanted slurm");
      }
      const { select } = await import("./select.ts");
      const { jobScripts } = await import("./scripts.ts");
      const changes = {
        runs: resolve(options.runs),
        set: options.set,
        data: data?.map((file) => resolve(file)),
        device: options.device ?? DEVICE,
        precision: options.precision,
      };
      const selected = await select(names, { study, architecture, section }, changes);
      const scripts = jobScripts(selected, { ...options, ...changes, scheduler, folder: resolve(out) });
      if (!force) await checkAbsent([...scripts.keys()]);
      for (const [path, text] of scripts) {
        await Deno.mkdir(dirname(path), { recursive: true });
        await Deno.writeTextFile(path, text, { mode: 0o755 });
      }
      const submit = join(relative(Deno.cwd(), resolve(out)), "submit.sh");
      console.log(`wrote ${selected.length} scripts to ${out}; start them all: bash ${submit}`);
    });
}

async function checkAbsent(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    try {
      await Deno.lstat(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      throw error;
    }
    throw new ValidationError(`Cannot write ${path}: it is there already, wanted --force or another --out`);
  }
}
