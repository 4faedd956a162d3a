/** `bowline import`: a run folder of a checkpoint that another program wrote. */
import { Command } from "@cliffy/command";
import { basename, join, resolve } from "@std/path";
import type { ManifestInput } from "../experiments/mod.ts";
import type { ImportReport } from "../ffi/ts/job.ts";
import { short, whole } from "./run/format.ts";

/** The command `import <folder>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function importCommand() {
  return new Command()
    .description(
      "Make a run folder of a Hugging Face checkpoint: a folder with config.json and safetensors of the families olmoe, " +
        "qwen3_moe or mixtral, or what `bowline export` wrote. A tokenizer.json beside them becomes the run's.",
    )
    .arguments("<folder:file>")
    .option("--out <folder:file>", "Run folder to make.", { required: true })
    .option("--separator <text:string>", "Token that separates documents (default: that of eos_token_id).")
    .option("--json", "Print JSON.")
    .example("A published model", "bowline import OLMoE-1B-7B-0924 --out runs/olmoe")
    .example("Text by it", 'bowline generate runs/olmoe --prompt "The"')
    .example(
      "Train it further on a text of your own",
      "bowline train runs/olmoe/manifest.json --from runs/olmoe --data text.txt --steps 20 --out runs/further",
    )
    .action(async ({ out, separator, json }, folder) => {
      const { manifest: complete, resolve: resolvePlan } = await import("../experiments/mod.ts");
      const { readModel } = await import("./interop/read.ts");
      const { describeEnvironment } = await import("./run/environment.ts");
      const { watched } = await import("./data/sources.ts");
      const { type, separator: found, hasTokenizer, ...foreign } = await readModel(folder, separator);
      const manifest = complete(trainable(folder, out, foreign, found));
      const plan = resolvePlan(manifest);
      const file = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
      const report = await watched("importing", {
        job: "import",
        folder: resolve(folder),
        family: type,
        plan: JSON.stringify(plan),
        hasTokenizer,
        out: resolve(out),
        files: {
          "manifest.json": file(manifest),
          "plan.json": file(plan),
          "environment.json": file(describeEnvironment()),
        },
      });
      if (!report) return console.error("interrupted: nothing was written");
      if (json) return console.log(JSON.stringify({ family: type, hasTokenizer, ...report }, null, 2));
      console.log(render(out, type, report));
      if (!hasTokenizer) {
        console.error(
          `warning: ${folder} has no tokenizer.json: generate needs one, so import again with one in it; train needs ` +
            `one, too, or --set 'data.tokenizer={"kind":"file","path":"..."}'`,
        );
      }
    });
}

/**
 * The manifest of an imported model. How to train is not in a checkpoint: these are gentle settings for weights that
 * know something, which the published rates for fresh ones would undo.
 */
function trainable(
  folder: string,
  out: string,
  { model, tie }: Pick<ManifestInput, "model" | "tie">,
  separator?: string,
): ManifestInput {
  const name = basename(resolve(folder)).replaceAll(/[^\w.-]/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  return {
    name: name === "" ? "imported" : name,
    model,
    tie: { groupSize: 1, skipFirst: 0, skipLast: 0, ...tie },
    optimizer: { kind: "adamw" },
    train: {
      steps: 1000,
      batch: 1,
      accumulation: 8,
      seqLen: Math.min(512, model.maxSeqLen ?? 512),
      lr: 2e-5,
      warmupSteps: 20,
    },
    data: {
      tokenizer: { kind: "file", path: join(resolve(out), "tokenizer.json") },
      ...(separator !== undefined && { separator }),
    },
  };
}

function render(out: string, type: string, { parameters, tensors, dtypes }: ImportReport): string {
  return `${out}: ${type}, ${short(parameters)} parameters of ${whole(tensors)} tensors in ${
    dtypes.join(", ")
  }, at step 0`;
}
