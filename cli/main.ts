/** The program `bowline`: its commands, and how it ends. Commands import what is heavy only when they run. */
import { Command } from "@cliffy/command";
import config from "../deno.json" with { type: "json" };
import { carryLibraries } from "../ffi/ts/library.ts";
import { cacheFolder } from "./cache.ts";
import { CARRIED, unpack } from "./carried.ts";
import { dataCommand } from "./data/mod.ts";
import { doctorCommand } from "./doctor.ts";
import { fail } from "./errors.ts";
import { evalCommand } from "./eval.ts";
import { experimentsCommand } from "./experiments/mod.ts";
import { exportCommand } from "./export.ts";
import { generateCommand } from "./generate.ts";
import { importCommand } from "./import.ts";
import { planCommand } from "./plan.ts";
import { trainCommand } from "./train.ts";

/** Runs a command line. */
export async function main(args: readonly string[]): Promise<void> {
  try {
    await new Command()
      .name("bowline")
      .version(config.version)
      .description("Train, evaluate and serve Mixture-of-Experts models whose layers share experts.")
      .example("First steps", 'bowline train quickstart\nbowline generate runs/quickstart --prompt "The"')
      .throwErrors()
      .command("train", trainCommand())
      .command("plan", planCommand())
      .command("generate", generateCommand())
      .command("eval", evalCommand())
      .command("import", importCommand())
      .command("export", exportCommand())
      .command("experiments", experimentsCommand())
      .command("data", dataCommand())
      .command("doctor", doctorCommand())
      .parse([...args]);
  } catch (error) {
    fail(error);
  }
}

if (import.meta.main) {
  if (Deno.build.standalone) carryLibraries(() => unpack(CARRIED, cacheFolder()));
  await main(Deno.args);
}
