/** What a benchmark found, with the machine that it ran on, as a file. */
import { ValidationError } from "@cliffy/command";
import { dirname } from "@std/path";
import os from "node:os";
import { describeEnvironment, type Environment } from "../run/environment.ts";
import type { BenchReport } from "./report.ts";

/** Where and when numbers were made. */
export interface Machine extends Omit<Environment, "threads"> {
  /** Day and time, in UTC. */
  readonly date: string;
  /** The processor, as it calls itself. */
  readonly processor: string;
  /** Processors that the system has. */
  readonly cores: number;
  /** In 10^9 bytes. */
  readonly "memory_gb": number;
  /** Processes that ran or waited in the minute before: what else the machine did. */
  readonly load: number;
  /** The system and its release. */
  readonly os: string;
  /** The compiler of the core. */
  readonly rustc: string;
}

/** A record of a benchmark. */
export interface BenchRecord extends BenchReport {
  /** Where and when. */
  readonly machine: Machine;
  /** Times that each case was measured. */
  readonly rounds: number;
  /** Time for each case in a round. */
  readonly seconds: number;
}

/** Describes this machine and the program. */
export function describeMachine(): Machine {
  const { threads: _, ...environment } = describeEnvironment();
  const processors = os.cpus();
  const { stdout } = new Deno.Command("rustc", { args: ["--version"] }).outputSync();
  return {
    date: new Date().toISOString(),
    processor: processors[0]?.model ?? "unknown",
    cores: processors.length,
    "memory_gb": Number((os.totalmem() / 1e9).toFixed(1)),
    load: Number(os.loadavg()[0]!.toFixed(2)),
    os: `${os.type()} ${os.release()}`,
    rustc: new TextDecoder().decode(stdout).trim(),
    ...environment,
  };
}

/**
 * Refuses a file that could not be written, before anything is measured.
 *
 * @throws {ValidationError} if its folder is not there.
 */
export async function requireFolderOf(file: string): Promise<void> {
  const info = await Deno.stat(dirname(file)).catch(() => undefined);
  if (info?.isDirectory) return;
  throw new ValidationError(`Cannot write ${file}: ${dirname(file)} is no folder, wanted one that is there`);
}

/** Writes a record; text that `deno fmt` leaves as it is. */
export async function writeRecord(file: string, record: unknown): Promise<void> {
  await Deno.writeTextFile(file, `${JSON.stringify(record, null, 2)}\n`);
}
