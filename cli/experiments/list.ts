/** `bowline experiments list`: the runs of the studies. */
import { Command } from "@cliffy/command";
import type { ParameterCounts } from "../../experiments/counts.ts";
import type { StudyEntry } from "../../experiments/studies/mod.ts";
import { whole } from "../run/format.ts";

/** A run of a study and how large its model is. */
export interface ListedEntry extends StudyEntry {
  /** Numbers of parameters. */
  readonly parameters: ParameterCounts;
}

/** The command `list`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function listCommand() {
  return new Command()
    .description("List the runs of the studies: how large each model is, and the loss that is published for it.")
    .option("--study <name:string>", "Only this study: ablation, main or nano.")
    .option("--architecture <name:string>", "Only this architecture, such as vanilla or olmoe.")
    .option("--section <name:string>", "Only this section of a study's table, such as fine or tiny.")
    .option("--json", "Print JSON.")
    .example("The 43 runs of the component ablation", "bowline experiments list --study ablation")
    .example(
      "What the divisor of the learning rate does",
      "bowline experiments list --study ablation --section divisor",
    )
    .example(
      "Names, one a line, for a script",
      "bowline experiments list --study main --json | jq -r '.[].name'",
    )
    .action(async ({ json, ...filter }) => {
      const { studyEntries } = await import("../../experiments/studies/mod.ts");
      const { countParameters, plan, preset } = await import("../../experiments/mod.ts");
      const entries = studyEntries(filter).map((entry): ListedEntry => ({
        ...entry,
        parameters: countParameters(plan(preset(entry.name))),
      }));
      console.log(json ? JSON.stringify(entries, null, 2) : await table(entries));
    });
}

async function table(entries: readonly ListedEntry[]): Promise<string> {
  const { default: Table } = await import("cli-table3");
  const table = new Table({
    head: ["study", "section", "name", "parameters", "in experts", "published loss"],
    colAligns: ["left", "left", "left", "right", "right", "right"],
    style: { head: [], border: [] }, // colours would make the list hard to paste
  });
  table.push(...entries.map(({ study, section, name, parameters, published }) => [
    study,
    section,
    name,
    whole(parameters.total),
    whole(parameters.experts),
    published?.loss ?? "",
  ]));
  return `${table.toString()}\n${entries.length} runs`;
}
