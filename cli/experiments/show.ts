/** `bowline experiments show`: everything about one experiment. */
import { Command } from "@cliffy/command";
import type { Published } from "../../experiments/studies/mod.ts";
import { planReport } from "../plan.ts";
import { whole } from "../run/format.ts";

/** The command `show <preset|file>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function showCommand() {
  return new Command()
    .description("Show an experiment: its whole manifest, its plan and what it costs, and what is published of it.")
    .arguments("<experiment:string>")
    .option("--json", "Print JSON: entry (null outside a study), manifest, plan, report.")
    .example("A variant of the ablation", "bowline experiments show ablation/small/fourgroups1_32_experttie")
    .example(
      "Start an experiment of your own from it",
      "bowline experiments show nano --json | jq .manifest > mine.json",
    )
    .action(async ({ json }, experiment) => {
      const { loadManifest, resolve } = await import("../../experiments/mod.ts");
      const { studyEntries } = await import("../../experiments/studies/mod.ts");
      const manifest = await loadManifest(experiment);
      const plan = resolve(manifest);
      const report = planReport(plan);
      const entry = studyEntries().find(({ name }) => name === experiment) ?? null;
      if (json) return console.log(JSON.stringify({ entry, manifest, plan, report: report.json }, null, 2));
      const place = entry ? `study ${entry.study}, section ${entry.section}` : "not part of a study";
      console.log(
        [report.text, "", `published (${place})`, ...published(entry?.published ?? null).map((line) => `  ${line}`)]
          .concat("", "manifest", JSON.stringify(manifest, null, 2))
          .join("\n"),
      );
    });
}

function published(values: Published | null): string[] {
  if (values === null) return ["nothing"];
  const { loss, parameters, accuracy } = values;
  return [
    ...(loss === null ? [] : [`loss        ${loss}`]),
    ...(parameters === undefined ? [] : [`parameters  ${whole(parameters)}`]),
    ...(accuracy === undefined ? [] : [`accuracy    ${accuracy}%`]),
  ];
}
