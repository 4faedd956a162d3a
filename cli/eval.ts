/** `bowline eval`: what a model knows, by the questions of benchmarks. */
import { Command, EnumType, ValidationError } from "@cliffy/command";
import { DEVICE, deviceType, PRECISION, precisionType } from "./device.ts";
import { checkAtLeast } from "./errors.ts";

/** The command `eval <run|checkpoint>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function evalCommand() {
  return new Command()
    .description(
      "Evaluate a trained model as lm-evaluation-harness 0.4.13 does: the same questions, examples, metrics and files. " +
        "Tasks are arc_easy, arc_challenge, hellaswag, piqa, winogrande, openbookqa, sciq, lambada_openai, a .ts or .json " +
        "file with a task of your own, or a .txt file, whose perplexity is measured. `study` stands for the six tasks of " +
        "the Expert Tying study as it evaluates them: --shots 3 --tokenization split --bos always.",
    )
    .arguments("<run:file>")
    .type("device", deviceType)
    .type("precision", precisionType)
    .type("tokenization", new EnumType(["joint", "split"] as const))
    .type("bos", new EnumType(["auto", "always", "never"] as const))
    .option("--tasks <list:string>", "Tasks by name, or files, with commas between.", { required: true })
    .option("--shots <n:integer>", "Examples before each question (default: 0).")
    .option(
      "--data <folder:file>",
      "Rows in <task>.<split>.jsonl (also .gz, .zst), .parquet, .arrow, or below <task>/ (default: from the hub).",
    )
    .option("--tokenization <how:tokenization>", "Context and continuation as one text or apart (default: joint).")
    .option("--bos <when:bos>", "A token before the text: as the tokenizer says, always or never (default: auto).")
    .option("--limit <n:number>", "Ask the first n rows, or below 1 a part of them.")
    .option("--seed <n:integer>", "Seed of the examples.", { default: 1234 as number })
    .option("--bootstrap-iters <n:integer>", "Drawings for the error of a perplexity; 0: no errors.", {
      default: 100_000 as number,
    })
    .option(...DEVICE)
    .option(...PRECISION)
    .option("--threads <n:integer>", "CPU threads (default: all cores); they change no bit.")
    .option(
      "--out <folder:file>",
      "Write results_<date>.json and samples_<task>_<date>.jsonl; goes on where it stopped.",
    )
    .option("--json", "Print the results as JSON.")
    .example("One task, some rows", "bowline eval runs/quickstart --tasks arc_easy --data rows --limit 100")
    .example("As the study does, for its table", "bowline eval runs/x --tasks study --data rows --out runs/x/eval")
    .example("Perplexity of a text", "bowline eval runs/quickstart --tasks README.md")
    .action(
      async ({ tasks, data, limit, seed, bootstrapIters, device, precision, threads, out, json, ...rest }, run) => {
        checkAtLeast("--shots", rest.shots, 0);
        checkAtLeast("--seed", seed, 0);
        checkAtLeast("--bootstrap-iters", bootstrapIters, 0);
        checkAtLeast("--threads", threads, 1);
        if (limit !== undefined && !(limit > 0 && (limit < 1 || Number.isInteger(limit)))) {
          throw new ValidationError(`Cannot use --limit ${limit}: wanted a whole number above 0, or a part below 1`);
        }
        const isStudy = tasks.split(",").includes("study");
        const {
          shots = isStudy ? 3 : 0,
          tokenization = isStudy ? "split" : "joint",
          bos = isStudy ? "always" : "auto",
        } = rest;
        const { evaluate } = await import("./eval/evaluate.ts");
        const settings = { shots, seed, limit: limit ?? null, bootstrapIterations: bootstrapIters, tokenization, bos };
        const where = { threads: threads ?? 0, device, precision };
        await evaluate({ run, tasks, data, settings, where, out, isJson: json ?? false });
      },
    );
}
