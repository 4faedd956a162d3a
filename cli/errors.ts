/** How the program ends when something goes wrong: one line, and an exit code that says whose fault it was. */
import { ValidationError } from "@cliffy/command";

/**
 * Prints the error as one line and sets the exit code: 2 for a user's mistake, 130 for an interruption, else 1. Only a
 * fault of this program shows its stack.
 */
export function fail(error: unknown): void {
  const exitCode = error instanceof Error && "exitCode" in error ? error.exitCode : undefined;
  console.error(`error: ${messageOf(error)}`);
  if (exitCode === undefined && error instanceof Error && !isOfSystem(error)) console.error(error.stack);
  Deno.exitCode = typeof exitCode === "number" ? exitCode : 1;
}

/** The error as one line. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().replaceAll(/\s*\n\s*/g, " ");
}

/** Refuses a value of an option that is too small. */
export function checkAtLeast(option: string, value: number | undefined, least: number): void {
  if (value !== undefined && value < least) {
    throw new ValidationError(`Cannot use ${option} ${value}: wanted an integer of at least ${least}`);
  }
}

/** Whether the operating system refused something: no file, no space, no permission. */
function isOfSystem(error: Error): boolean {
  return "code" in error || error.name in Deno.errors;
}
