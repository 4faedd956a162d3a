/** `bowline data tokenize`: from text to shards of tokens, once. */
import { Command, EnumType } from "@cliffy/command";
import { resolve } from "@std/path";
import { checkAtLeast } from "../errors.ts";
import { whole } from "../run/format.ts";
import { FORMATS } from "./sources.ts";

const PLACEMENTS = ["before", "after", "none"] as const;

/** The command `tokenize <paths>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function tokenizeCommand() {
  return new Command()
    .description(
      "Write shards of tokens with an index and checksums; train on the folder as on any source. Ctrl-C keeps whole " +
        "shards, and --resume goes on after them.",
    )
    .arguments("<...paths:string>")
    .type("format", new EnumType(FORMATS))
    .type("placement", new EnumType(PLACEMENTS))
    .option("--out <folder:file>", "Folder of the shards.", { required: true })
    .option("--tokenizer <name:string>", "cl100k, bytes or a tokenizer.json.", { required: true })
    .option("--separator <text:string>", "Separator token.", { default: "<|endoftext|>" as string })
    .option("--placement <where:placement>", "Where it stands, seen from a document.", { default: "before" as const })
    .option("--shard-tokens <n:integer>", "Tokens of a shard.", { default: 100_000_000 as number })
    .option("--column <path:string>", "The text's column by its full path.")
    .option("--format <format:format>", "How files are read.", { default: "auto" as const })
    .option("--min-characters <n:integer>", "Shorter documents are skipped.", { default: 50 as number })
    .option("--skip-bad", "Skip and count what cannot be read, in place of stopping.")
    .option("--resume", "Go on after the shards that are there.")
    .option("--json", "Print JSON.")
    .example("With the published tokenizer", "bowline data tokenize corpus --out tokens --tokenizer cl100k")
    .action(async (options, ...paths) => {
      checkAtLeast("--shard-tokens", options.shardTokens, 1);
      const { sourcesOf, tokenizerOf, watched } = await import("./sources.ts");
      const report = await watched("tokenising", {
        job: "tokenize",
        ...sourcesOf(paths, options),
        tokenizer: tokenizerOf(options.tokenizer),
        separator: options.separator,
        separatorPlacement: options.placement,
        out: resolve(options.out),
        shardTokens: options.shardTokens,
        isResuming: options.resume ?? false,
      });
      if (!report) return console.error("interrupted; go on with --resume");
      if (options.json) return console.log(JSON.stringify(report, null, 2));
      const kept = report.kept > 0 ? ` (${whole(report.kept)} of them before)` : "";
      console.log(
        `${whole(report.tokens)} tokens of ${whole(report.documents)} documents in ${
          whole(report.shards)
        } shards${kept}; ` +
          `skipped: ${whole(report.short)} too short, ${whole(report.empty)} empty, ${whole(report.bad)} unreadable`,
      );
    });
}
