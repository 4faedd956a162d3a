/**
 * A case in a process of its own, so that its peak memory is its own: this file is both the program of that process,
 * which reads a task from stdin and writes rows to stdout, and the function that starts it.
 */
import { fail } from "../errors.ts";
import type { DeviceFlags } from "../device.ts";
import type { BenchCase } from "./cases.ts";
import type { CaseReport } from "./report.ts";

/** What a process is to do: prepare what a case needs, or measure it. */
export interface Task {
  readonly part: "prepare" | "measure";
  readonly case: Exclude<BenchCase, { kind: "ops" }>;
  /** An existing folder for files, shared by the parts of a case. */
  readonly folder: string;
  /** Time to measure for. */
  readonly seconds: number;
  /** Where steps are computed. */
  readonly where?: DeviceFlags;
}

/** A task that its process did not finish; the message is that of the process. */
export class TaskError extends Error {
  /** Process exit code. */
  readonly exitCode: number;

  /** Makes an error from what a process wrote before it ended. */
  constructor(message: string, exitCode: number) {
    super(message);
    this.name = "TaskError";
    this.exitCode = exitCode;
  }
}

const FLAGS = ["--no-prompt", "--allow-read", "--allow-write", "--allow-ffi", "--allow-env", "--allow-sys"];

/**
 * Does a task in a process of its own.
 *
 * @throws {TaskError} with the process's message if it failed.
 */
export async function runApart(task: Task): Promise<CaseReport[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", ...FLAGS, new URL(import.meta.url).pathname],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(task)));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  if (code === 0) return JSON.parse(text.decode(stdout));
  throw new TaskError(text.decode(stderr).trim().replace(/^error: /, ""), code);
}

/** Imports only what the task needs: the rest would count as its memory. */
async function perform({ part, case: task, folder, seconds, where }: Task): Promise<CaseReport[]> {
  switch (task.kind) {
    case "steps":
      return await (await import("./steps.ts")).timeSteps(task, seconds, where);
    case "loader":
      return await (await import("./loader.ts")).timeText(task, folder, seconds);
    case "stream":
      await (await import("./stream.ts")).prepareStream(task, folder);
      return [];
    case "generate": {
      const { saveModel, timeGenerate } = await import("./generate.ts");
      if (part === "measure") return await timeGenerate(task, folder, seconds);
      await saveModel(task, folder);
      return [];
    }
  }
}

if (import.meta.main) {
  try {
    const task: Task = JSON.parse(await new Response(Deno.stdin.readable).text());
    console.log(JSON.stringify(await perform(task)));
  } catch (error) {
    fail(error);
  }
}
