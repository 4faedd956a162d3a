/** `bowline train`: runs an experiment. */
import { Command, EnumType, ValidationError } from "@cliffy/command";
import { join, resolve } from "@std/path";
import { deviceOption, deviceType, PRECISION, precisionType } from "./device.ts";
import { checkAtLeast } from "./errors.ts";
import { LOG_LEVELS } from "./levels.ts";

/** The command `train <preset|file>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function trainCommand() {
  return new Command()
    .description(
      "Train a model. A run is recorded in its folder; Ctrl-C saves a checkpoint, --resume goes on from it, on the device " +
        "and in the precision that it had. What does not fit into a GPU's memory is refused, with what would. Started by " +
        "torchrun, mpirun or srun, several processes train one model: by NCCL on GPUs, by Open MPI on CPUs.",
    )
    .arguments("<experiment:string>")
    .type("device", deviceType)
    .type("precision", precisionType)
    .type("level", new EnumType(LOG_LEVELS))
    .option("--data <...files:file>", "Train on these text files; the last 5% of their tokens are held out.")
    .option("--steps <n:integer>", "Stop after step n of the run; the schedule keeps its length.")
    .option("--out <folder:file>", "Folder of the run (default: runs/NAME).")
    .option(
      "--from <run:file>",
      "Start a new run with the weights of this run's newest checkpoint, or of a checkpoint.",
    )
    .option("--resume", "Go on from the newest checkpoint in the run's folder.")
    .option("--tie <g:integer>", "Tie the experts of this many consecutive middle sites.")
    .option("--expand <experts:integer>", "Experts of a middle bank.")
    .option("--seed <n:integer>", "Seed of the first weights and of the data order.")
    .option("--set <assignment:string>", "Set any key of the manifest: path=value. Repeatable.", { collect: true })
    .option(...deviceOption("cpu, or that of the run that goes on"))
    .option(...PRECISION)
    .option("--threads <n:integer>", "CPU threads (default: all cores). Results do not depend on it.")
    .option("--json", "Print events to stdout as JSON lines, and nothing else there.")
    .option("--quiet", "Print nothing but warnings and errors.")
    .option("--parent <pid:integer>", "Wait for the folder if it is in use, and stop when this process ends.", {
      hidden: true, // how `bowline experiments run` starts a run
    })
    .option("--log-level <level:level>", "Messages to print.", { default: "info" as const })
    .example("A model of real English in a few minutes", "bowline train quickstart")
    .example("Your own text", "bowline train quickstart --data book.txt notes.txt --out runs/book")
    .example("Interrupt with Ctrl-C, then go on", "bowline train quickstart --resume")
    .example("On a GPU, or here if there is none", "bowline train olmoe-tiny --tie 4 --device auto")
    .example("Change the experiment", "bowline train nano --tie 2 --set train.lr=0.01 --out runs/nano-tie2")
    .example(
      "Other data for the weights of a run",
      "bowline train nano --from runs/nano --data book.txt --out runs/book",
    )
    .example("An experiment of your own", "bowline train my_experiment.ts --steps 20")
    .example("Four processes on CPUs", "mpirun -n 4 --bind-to none bowline train nano --threads 2")
    .action(async ({ data, steps, out, threads, ...options }, source) => {
      checkAtLeast("--steps", steps, 1);
      checkAtLeast("--threads", threads, 1);
      if (options.from !== undefined && options.resume) {
        throw new ValidationError("Cannot use --from with --resume: a run that goes on has its own weights");
      }
      const { loadManifest, resolve: resolvePlan } = await import("../experiments/mod.ts");
      // Absolute, so that a run can be resumed from another folder.
      const manifest = await loadManifest(source, { ...options, data: data?.map((file) => resolve(file)) });
      const plan = resolvePlan(manifest);
      if (steps !== undefined && steps > plan.train.steps) {
        throw new ValidationError(
          `Cannot train to step ${steps}: the schedule ends at step ${plan.train.steps}; use --set train.steps=${steps}`,
        );
      }
      const { findCheckpoint } = await import("./run/folder.ts");
      const from = options.from === undefined ? undefined : resolve(await findCheckpoint(options.from));
      const { train } = await import("./run/train.ts");
      await train({ manifest, plan }, {
        out: out ?? join("runs", plan.name),
        steps: steps ?? plan.train.steps,
        threads: threads ?? 0,
        device: options.device,
        precision: options.precision,
        parent: options.parent,
        from,
        isResuming: options.resume ?? false,
        isJson: options.json ?? false,
        logLevel: options.quiet ? "warn" : options.logLevel,
        isQuiet: options.quiet ?? false,
      });
    });
}
