/** `bowline export`: a model as a folder that another program loads. */
import { Command, EnumType, ValidationError } from "@cliffy/command";
import { resolve } from "@std/path";
import type { ExportReport } from "../ffi/ts/job.ts";
import { short, whole } from "./run/format.ts";

const FORMATS = ["hf", "hf-compact"] as const;
const DTYPES = ["f32", "bf16"] as const;

/** Bytes of a unit. */
const UNITS: Readonly<Record<string, number>> = { KB: 1e3, MB: 1e6, GB: 1e9 };

/** The command `export <run|checkpoint>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function exportCommand() {
  return new Command()
    .description(
      "Write the model of a run's newest checkpoint, or of a checkpoint folder, for Hugging Face transformers. Format hf: " +
        "a plain olmoe, qwen3_moe or mixtral, whichever computes the same, every layer with a copy of what it shares. " +
        "Format hf-compact: every bank once, with a small class that shares it (trust_remote_code).",
    )
    .arguments("<run:file>")
    .type("format", new EnumType(FORMATS))
    .type("dtype", new EnumType(DTYPES))
    .option("--format <format:format>", "hf: needs no code of its own; hf-compact: as small as the checkpoint.", {
      default: "hf" as typeof FORMATS[number],
    })
    .option("--out <folder:file>", "Folder to make.", { required: true })
    .option("--dtype <dtype:dtype>", "Type of the numbers; bf16 rounds to the nearest.", {
      default: "f32" as typeof DTYPES[number],
    })
    .option("--shard-size <size:string>", "Most bytes of numbers in a file, such as 500MB.", {
      default: "5GB" as string,
    })
    .option("--json", "Print JSON.")
    .example("For transformers, vLLM and others", "bowline export runs/quickstart --out quickstart-hf")
    .example(
      "Each bank once, in half the bytes",
      "bowline export runs/quickstart --format hf-compact --dtype bf16 --out quickstart-compact",
    )
    .example(
      "An older checkpoint",
      "bowline export runs/quickstart/checkpoints/step-00000100 --out quickstart-100",
    )
    .action(async ({ format, out, dtype, shardSize, json }, run) => {
      const shardBytes = bytesOf(shardSize);
      const { findCheckpoint } = await import("./run/folder.ts");
      const { readCheckpoint } = await import("./run/checkpoint.ts");
      const { exportConfig } = await import("../experiments/huggingface_export.ts");
      const { watched } = await import("./data/sources.ts");
      const checkpoint = await findCheckpoint(run);
      const { family, config } = exportConfig((await readCheckpoint(checkpoint)).plan, format);
      const report = await watched("exporting", {
        job: "export",
        checkpoint: resolve(checkpoint),
        family,
        dtype,
        shardBytes,
        config,
        out: resolve(out),
      });
      if (!report) return console.error("interrupted: nothing was written");
      if (json) console.log(JSON.stringify({ checkpoint, format, family, dtype, ...report }, null, 2));
      else console.log(render(out, family, dtype, report));
      if (!report.hasTokenizer) console.error(`warning: ${out} has no tokenizer.json: the checkpoint has none`);
    });
}

/**
 * The bytes that a text such as `500MB` means.
 *
 * @throws {ValidationError} if it means none.
 */
export function bytesOf(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(KB|MB|GB)$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit?.toUpperCase() ?? ""] ?? NaN));
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes;
  throw new ValidationError(`Cannot use --shard-size ${text}: wanted a size such as 500MB or 5GB`);
}

function render(out: string, family: string, dtype: string, report: ExportReport): string {
  const { parameters, tensors, bytes, step, files } = report;
  const size = `${short(parameters)} parameters in ${whole(tensors)} tensors (${dtype}, ${short(bytes)} bytes)`;
  return `${out}: ${family}, ${size}, of step ${step}; ${files.join(", ")}`;
}
