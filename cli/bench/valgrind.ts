/** What counting instructions needs: valgrind, and an earlier count to compare with. */
import { ValidationError } from "@cliffy/command";
import { z } from "zod";

/** Whether there is a valgrind. */
export async function hasValgrind(): Promise<boolean> {
  try {
    return (await new Deno.Command("valgrind", { args: ["--version"], stdout: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Refuses to go on without valgrind.
 *
 * @throws {ValidationError} that says how to get it.
 */
export async function requireValgrind(): Promise<void> {
  if (await hasValgrind()) return;
  throw new ValidationError("Cannot count instructions: there is no valgrind, wanted one in PATH (Debian: valgrind)");
}

const Baseline = z.object({
  name: z.string(),
  isa: z.string(),
  total: z.number().positive(),
  groups: z.record(z.string(), z.number()),
});

/**
 * Reads a record of an earlier count.
 *
 * @throws {ValidationError} if it is none.
 */
export async function readBaseline(file: string): Promise<z.infer<typeof Baseline>> {
  try {
    return Baseline.parse(JSON.parse(await Deno.readTextFile(file)));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new ValidationError(`Cannot compare with ${file}: ${reason}; wanted a record of this command`);
  }
}
