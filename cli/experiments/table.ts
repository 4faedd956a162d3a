/** `bowline experiments table`: the finished runs of a study beside what is published. */
import { Command, EnumType, ValidationError } from "@cliffy/command";

const FORMATS = ["text", "markdown", "csv", "json", "svg"] as const;

/** The command `table`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function tableCommand() {
  return new Command()
    .description(
      "Show the results of a study as the paper's tables: parameters, memory saved, loss, difference to the untied " +
        "model, agreement, and the published values beside them. Runs that are missing or unfinished are named.",
    )
    .type("format", new EnumType(FORMATS))
    .option("--study <name:string>", "The study: ablation, main or nano (default: ablation, or the record's).")
    .option("--architecture <name:string>", "Only this architecture.")
    .option("--section <name:string>", "Only this section.")
    .option("--runs <folder:file>", "Folder of the runs (default: runs).")
    .option("--record <file:file>", "Read a record in place of runs.")
    .option("--save-record <file:file>", "Write a record: all that the table is made of, with manifests and machines.")
    .option("--format <format:format>", "How to print.", { default: "text" as const })
    .option("--with-eval", "Show accuracies, too: of what `bowline eval --out <run>/eval` left.")
    .option("--json", "Print JSON: short for --format json.")
    .option("--out <file:file>", "Write to a file in place of stdout.")
    .example("What is there so far", "bowline experiments table --study nano")
    .example("A plot of one section", "bowline experiments table --section fine --format svg --out fine.svg")
    .example(
      "Keep a study when its runs are gone",
      "bowline experiments table --study nano --save-record record.json\n" +
        "bowline experiments table --record record.json --format markdown",
    )
    .action(async ({ runs, record: recordFile, saveRecord, withEval, json, format, out, ...filter }) => {
      if (recordFile !== undefined && runs !== undefined) {
        throw new ValidationError(
          "Cannot use --runs with --record: both say where the results are, wanted one of them",
        );
      }
      if (json && format !== "text" && format !== "json") {
        throw new ValidationError(`Cannot use --json with --format ${format}: wanted one of them`);
      }
      const { makeTable } = await import("./table/table.ts");
      const source = recordFile === undefined ? { runs: runs ?? "runs" } : { record: recordFile };
      await makeTable({ source, filter, format: json ? "json" : format, withEval: withEval ?? false, saveRecord, out });
    });
}
