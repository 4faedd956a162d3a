/** `bowline data train-tokenizer`: a byte-level BPE for a text. */
import { Command, EnumType } from "@cliffy/command";
import { resolve } from "@std/path";
import { checkAtLeast } from "../errors.ts";
import { whole } from "../run/format.ts";
import { FORMATS } from "./sources.ts";

/** The command `train-tokenizer <paths>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function trainTokenizerCommand() {
  return new Command()
    .description("Train a byte-level BPE and write it as a Hugging Face tokenizer.json.")
    .arguments("<...paths:string>")
    .type("format", new EnumType(FORMATS))
    .option("--out <file:file>", "Where to write it.", { required: true })
    .option("--vocab <n:integer>", "Tokens in all, at least 257: bytes, the separator, merges.", { required: true })
    .option("--separator <text:string>", "Separator token.", { default: "<|endoftext|>" as string })
    .option("--max-bytes <n:integer>", "Train on so much text, from the start.", { default: 64 * 2 ** 20 as number })
    .option("--column <path:string>", "The text's column by its full path.")
    .option("--format <format:format>", "How files are read.", { default: "auto" as const })
    .option("--min-characters <n:integer>", "Shorter documents are skipped.", { default: 50 as number })
    .option("--skip-bad", "Skip and count what cannot be read, in place of stopping.")
    .option("--json", "Print JSON.")
    .example("A small vocabulary", "bowline data train-tokenizer books.jsonl.zst --vocab 8192 --out tokenizer.json")
    .action(async (options, ...paths) => {
      checkAtLeast("--vocab", options.vocab, 257);
      checkAtLeast("--max-bytes", options.maxBytes, 1);
      const { sourcesOf, watched } = await import("./sources.ts");
      const report = await watched("training the tokenizer", {
        job: "train-tokenizer",
        ...sourcesOf(paths, options),
        vocab: options.vocab,
        separator: options.separator,
        maxBytes: options.maxBytes,
        out: resolve(options.out),
      });
      if (!report) return console.error("interrupted: nothing was written");
      if (options.json) return console.log(JSON.stringify(report, null, 2));
      console.log(
        `${options.out}: ${whole(report.vocab)} tokens, from ${whole(report.bytes)} bytes of ` +
          `${whole(report.documents)} documents`,
      );
    });
}
