/** `bowline experiments`: what is there to run, and running many. */
import { Command } from "@cliffy/command";
import { listCommand } from "./list.ts";
import { runCommand } from "./run.ts";
import { showCommand } from "./show.ts";
import { submitCommand } from "./submit.ts";
import { tableCommand } from "./table.ts";

/** The command `experiments`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function experimentsCommand() {
  return new Command()
    .description(
      "Studies of many runs: list them, look at one, run them here, write scripts that run them elsewhere, tabulate them.",
    )
    .example("What the component ablation consists of", "bowline experiments list --study ablation")
    .example(
      "A study that a laptop can do, in a night at most",
      "bowline experiments run --study nano --jobs 2 --threads 1",
    )
    .command("list", listCommand())
    .command("show", showCommand())
    .command("run", runCommand())
    .command("submit", submitCommand())
    .command("table", tableCommand());
}
