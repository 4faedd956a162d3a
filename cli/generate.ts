/** `bowline generate`: text by a trained model. */
import { Command, ValidationError } from "@cliffy/command";
import { DEVICE, deviceType, fallbackOf, PRECISION, precisionType } from "./device.ts";
import { checkAtLeast } from "./errors.ts";

/** The command `generate <run|checkpoint>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function generateCommand() {
  return new Command()
    .description("Continue a text with a trained model: the newest checkpoint of a run, or a checkpoint folder.")
    .arguments("<run:file>")
    .type("device", deviceType)
    .type("precision", precisionType)
    .option("--prompt <text:string>", "The text to continue.", { required: true })
    .option("--tokens <n:integer>", "At most this many tokens.", { default: 100 as number })
    .option("--temperature <x:number>", "Divides the logits; 0 always takes the likeliest token.", {
      default: 0.8 as number,
    })
    .option("--top-p <x:number>", "Sample among the likeliest tokens that have this probability together.", {
      default: 0.95 as number,
    })
    .option("--seed <n:integer>", "Seed of the sampling.", { default: 0 as number })
    .option(...DEVICE)
    .option(...PRECISION)
    .option("--threads <n:integer>", "CPU threads (default: all cores).")
    .option("--json", "Print JSON: prompt, text, and how it was made.")
    .example(
      "Text in the manner of the quick start's corpus",
      'bowline generate runs/quickstart --prompt "The Congress"',
    )
    .example(
      "The likeliest continuation of an older checkpoint",
      "bowline generate runs/quickstart/checkpoints/step-00000100 --prompt We --temperature 0",
    )
    .action(async ({ prompt, tokens, temperature, topP, seed, threads, json, ...where }, run) => {
      checkAtLeast("--tokens", tokens, 1);
      checkAtLeast("--threads", threads, 1);
      checkAtLeast("--seed", seed, 0);
      checkAtLeast("--temperature", temperature, 0);
      if (topP <= 0 || topP > 1) throw new ValidationError(`Cannot use --top-p ${topP}: wanted above 0 and at most 1`);
      const { findCheckpoint } = await import("./run/folder.ts");
      const { Model } = await import("../ffi/ts/model.ts");
      const checkpoint = await findCheckpoint(run);
      using model = await Model.open(checkpoint, { threads: threads ?? 0, ...where });
      const { name: device, precision, fallback } = model.device();
      const told = fallbackOf({ fallback });
      if (told !== null) console.error(told);
      const options = { tokens, temperature, topP, seed };
      if (json) {
        const text = (await Array.fromAsync(model.generate(prompt, options))).join("");
        return console.log(JSON.stringify({ checkpoint, device, precision, prompt, ...options, text }));
      }
      const encoder = new TextEncoderStream();
      const pieces = ReadableStream.from(withFrame(prompt, model.generate(prompt, options)));
      await pieces.pipeThrough(encoder).pipeTo(Deno.stdout.writable);
    });
}

/** The prompt, its continuation and a line end, so that what is printed is the whole text. */
async function* withFrame(prompt: string, continuation: AsyncIterable<string>): AsyncGenerator<string> {
  yield prompt;
  yield* continuation;
  yield "\n";
}
