/** `bowline experiments run`: many runs, one after the other or some at a time. */
import { Command } from "@cliffy/command";
import { resolve } from "@std/path";
import { DEVICE, deviceType, PRECISION, precisionType } from "../device.ts";
import { checkAtLeast } from "../errors.ts";

/** The command `run [presets|files]`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function runCommand() {
  return new Command()
    .description(
      "Run experiments by name, or those of a study, each in a process and a folder of its own. Start it again to go " +
        "on: finished runs are skipped, the others go on from their checkpoints. A run that fails does not stop the rest.",
    )
    .arguments("[...experiments:string]")
    .type("device", deviceType)
    .type("precision", precisionType)
    .option("--study <name:string>", "The runs of this study: ablation, main or nano.")
    .option("--architecture <name:string>", "Those of this architecture, such as vanilla or olmoe.")
    .option("--section <name:string>", "Those of this section of a study's table, such as fine or tiny.")
    .option("--runs <folder:file>", "Folder of all runs; that of a run is FOLDER/NAME.", { default: "runs" as string })
    .option("--jobs <n:integer>", "So many at a time.", { default: 1 as number })
    .option(...DEVICE)
    .option(...PRECISION)
    .option("--threads <n:integer>", "CPU threads of each (default: all cores, divided by --jobs).")
    .option("--set <assignment:string>", "Set a key of every manifest: path=value. Repeatable.", { collect: true })
    .option("--data <...files:file>", "Train on these text files; the last 5% of their tokens are held out.")
    .option("--json", "Print a JSON line on stdout for each run when it ends, and nothing else there.")
    .option("--quiet", "Print nothing but warnings and errors.")
    .example("The study that fits a laptop", "bowline experiments run --study nano --jobs 2 --threads 1")
    .example(
      "Two variants of it, on a text of your own",
      "bowline experiments run ablation/nano/baseline_32 ablation/nano/fourgroups1_32_experttie --data book.txt",
    )
    .example("Experiments of your own", "bowline experiments run first.json second.ts --runs runs/mine")
    .action(async ({ study, architecture, section, data, ...options }, ...names) => {
      checkAtLeast("--jobs", options.jobs, 1);
      checkAtLeast("--threads", options.threads, 1);
      const { select } = await import("./select.ts");
      const { checkMayStart } = await import("./program.ts");
      const { runAll } = await import("./runner.ts");
      const { runs, set, device, precision } = options;
      const changes = { runs, set, data: data?.map((file) => resolve(file)), device, precision };
      const selected = await select(names, { study, architecture, section }, changes);
      await checkMayStart();
      await runAll(selected, {
        ...changes,
        jobs: options.jobs,
        threads: options.threads ?? share(options.jobs),
        isJson: options.json ?? false,
        isQuiet: options.quiet ?? false,
      });
    });
}

/** Threads of each of several jobs; a single one decides for itself. */
function share(jobs: number): number | undefined {
  return jobs === 1 ? undefined : Math.max(1, Math.floor(navigator.hardwareConcurrency / jobs));
}
