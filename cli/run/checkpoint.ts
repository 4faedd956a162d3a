/** What a checkpoint is of, as its state.json says. */
import { ValidationError } from "@cliffy/command";
import { join } from "@std/path";
import { type Plan, planSchema } from "../../experiments/mod.ts";

/** A checkpoint's model. */
export interface CheckpointState {
  /** The plan that it was trained by. */
  readonly plan: Plan;
  /** SHA-256 of its weights. */
  readonly modelSha256: string;
}

/**
 * Reads the state of a checkpoint folder. The core checks the file as a whole when it opens the checkpoint.
 *
 * @throws {ValidationError} if there is no plan of this version in it.
 */
export async function readCheckpoint(checkpoint: string): Promise<CheckpointState> {
  const state = Object(parse(await Deno.readTextFile(join(checkpoint, "state.json"))));
  const result = planSchema.safeParse(parse(state.plan));
  if (result.success) {
    return { plan: result.data, modelSha256: String(Object(Object(state.files)["model.safetensors"]).sha256) };
  }
  const [issue] = result.error.issues;
  throw new ValidationError(
    `Cannot use the checkpoint ${checkpoint}: the plan in its state.json is damaged or of another version ` +
      `(${issue?.path.join(".")}: ${issue?.message})`,
  );
}

function parse(text: unknown): unknown {
  try {
    return typeof text === "string" ? JSON.parse(text) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
