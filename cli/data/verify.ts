/** `bowline data verify`: whether shards of tokens are what was written. */
import { Command } from "@cliffy/command";
import { resolve } from "@std/path";
import { whole } from "../run/format.ts";

/** The command `verify <folder>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function verifyCommand() {
  return new Command()
    .description(
      "Check every shard of a folder against its index: length, checksum, token ids. Exit code 1 on a fault.",
    )
    .arguments("<folder:string>")
    .option("--json", "Print JSON.")
    .example("After a copy", "bowline data verify tokens")
    .action(async ({ json }, folder) => {
      const { watched } = await import("./sources.ts");
      const report = await watched("checking", { job: "verify", folder: resolve(folder) });
      if (!report) return;
      const { shards, tokens, documents, isComplete, faults } = report;
      if (json) console.log(JSON.stringify(report, null, 2));
      else {
        const part = isComplete ? "" : "; not complete: tokenize --resume goes on";
        console.log(
          [`${whole(shards)} shards, ${whole(tokens)} tokens, ${whole(documents)} documents${part}`, ...faults].join(
            "\n",
          ),
        );
      }
      if (faults.length > 0) Deno.exitCode = 1;
    });
}
