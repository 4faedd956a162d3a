/** `bowline data`: looking at text before training on it, and preparing it. */
import { Command } from "@cliffy/command";
import { inspectCommand } from "./inspect.ts";
import { tokenizeCommand } from "./tokenize.ts";
import { trainTokenizerCommand } from "./train_tokenizer.ts";
import { verifyCommand } from "./verify.ts";

/** The command `data`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function dataCommand() {
  return new Command()
    .description(
      "Sources of text: files, folders, globs and hf://datasets/<owner>/<name>, as .txt, .md, .jsonl (also .gz, .zst), " +
        ".parquet, .arrow or files of tokens.",
    )
    .example("What is in a file", "bowline data inspect books.jsonl.zst")
    .example("Tokenise once, train often", "bowline data tokenize books.jsonl.zst --out tokens --tokenizer cl100k")
    .command("inspect", inspectCommand())
    .command("tokenize", tokenizeCommand())
    .command("train-tokenizer", trainTokenizerCommand())
    .command("verify", verifyCommand());
}
