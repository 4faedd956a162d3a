/** `bowline data inspect`: what a source holds, before anything is trained on it. */
import { Command, EnumType } from "@cliffy/command";
import type { InspectReport } from "../../ffi/ts/job.ts";
import { checkAtLeast } from "../errors.ts";
import { short, whole } from "../run/format.ts";
import { FORMATS } from "./sources.ts";

/** The command `inspect <paths>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function inspectCommand() {
  return new Command()
    .description("Show files, columns, documents and their lengths, the first rows, and what would be skipped.")
    .arguments("<...paths:string>")
    .type("format", new EnumType(FORMATS))
    .option("--column <path:string>", "The text's column by its full path.")
    .option("--format <format:format>", "How files are read.", { default: "auto" as const })
    .option("--min-characters <n:integer>", "Shorter documents are skipped.", { default: 50 as number })
    .option("--tokenizer <name:string>", "Count tokens, too: cl100k, bytes or a tokenizer.json.")
    .option("--separator <text:string>", "Separator token of the tokenizer.", { default: "<|endoftext|>" as string })
    .option("--rows <n:integer>", "Documents shown.", { default: 3 as number })
    .option("--limit <n:integer>", "Read at most so many documents of a source.")
    .option("--skip-bad", "Skip and count what cannot be read, in place of stopping.")
    .option("--json", "Print JSON.")
    .example("A nested column", "bowline data inspect novels --column rollout_results.list.element.text")
    .example("A data set of the hub", "bowline data inspect hf://datasets/HuggingFaceTB/dclm-edu --limit 1000")
    .action(async (options, ...paths) => {
      checkAtLeast("--rows", options.rows, 0);
      checkAtLeast("--limit", options.limit, 1);
      const { sourcesOf, tokenizerOf, watched } = await import("./sources.ts");
      const report = await watched("reading", {
        job: "inspect",
        ...sourcesOf(paths, options),
        tokenizer: options.tokenizer === undefined ? null : tokenizerOf(options.tokenizer),
        separator: options.separator,
        rows: options.rows,
        limit: options.limit ?? null,
      });
      if (report) console.log(options.json ? JSON.stringify(report, null, 2) : render(report));
    });
}

function render({ sources }: InspectReport): string {
  return sources.map((source) => {
    const { files, columns, characters, bytes, tokens, documents, short: tooShort, empty, bad } = source;
    const size = files.reduce((sum, file) => sum + file.bytes, 0);
    const skipped = [[tooShort, "too short"], [empty, "empty"], [bad, "unreadable"]]
      .filter(([count]) => count !== 0).map(([count, why]) => `${whole(Number(count))} ${why}`);
    return [
      `${source.name}: ${whole(files.length)} files, ${short(size)} bytes${source.isPart ? " (read in part)" : ""}`,
      ...files.slice(0, 10).map((file) => `  ${file.name}  ${whole(file.bytes)}`),
      ...(files.length > 10 ? [`  and ${whole(files.length - 10)} more`] : []),
      ...(columns.length > 0 ? [`columns of text  ${columns.join(", ")}`] : []),
      `documents        ${whole(documents)}${skipped.length > 0 ? `; skipped: ${skipped.join(", ")}` : ""}`,
      ...(characters
        ? [
          `characters       ${whole(characters.least)} to ${whole(characters.most)}, median ` +
          `${whole(characters.median)}, mean ${whole(characters.mean)}`,
        ]
        : []),
      `text             ${whole(bytes)} bytes`,
      ...(tokens === null ? [] : [`tokens           ${whole(tokens)}, ${(bytes / tokens).toFixed(2)} bytes each`]),
      ...source.first.map((text, i) => `${i + 1}  ${text.replaceAll(/\s+/g, " ")}`),
    ].join("\n");
  }).join("\n\n");
}
