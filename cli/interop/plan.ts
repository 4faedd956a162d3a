/** The plan of a checkpoint, as its state.json holds it. */
import { ValidationError } from "@cliffy/command";
import { join } from "@std/path";
import { type Plan, planSchema } from "../../experiments/mod.ts";

/**
 * Reads the plan of a checkpoint folder. The core checks the file as a whole when it opens the checkpoint.
 *
 * @throws {ValidationError} if there is no plan of this version in it.
 */
export async function readPlan(checkpoint: string): Promise<Plan> {
  const path = join(checkpoint, "state.json");
  const text = await Deno.readTextFile(path);
  const result = planSchema.safeParse(parse(Object(parse(text)).plan));
  if (result.success) return result.data;
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
