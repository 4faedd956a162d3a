/** `deno task bench`: how fast this machine trains, loads and writes. */
import { Command, ValidationError } from "@cliffy/command";
import { DEVICE, deviceType, PRECISION, precisionType } from "../device.ts";
import { fail, messageOf } from "../errors.ts";
import { bench } from "./bench.ts";
import { cases } from "./cases.ts";
import { describeMachine, requireFolderOf, writeRecord } from "./record.ts";
import { render } from "./table.ts";

/** Other work that spoils no record. */
const MAX_LOAD = 0.5;

const names = cases.map((one) => one.name);

try {
  await new Command()
    .name("bench")
    .description("Time training steps, the loader, generation and every operation of the core, all in rounds.")
    .option("--only <name:string>", `Only this case; repeatable. One of ${names.join(", ")}.`, { collect: true })
    .option("--rounds <n:integer>", "Times that each case is measured; an odd number.", { default: 3 as number })
    .option("--seconds <n:number>", "Time for a case in a round; each has a least number of steps.", {
      default: 3 as number,
    })
    .type("device", deviceType)
    .type("precision", precisionType)
    .option(...DEVICE)
    .option(...PRECISION)
    .option("--record <file:string>", "Also write what was found to this file, with the machine. README: docs:bench.")
    .option("--json", "Print JSON.")
    .example("A quick look", "deno task bench --only nano --only ops-nano --rounds 1")
    .example("Two ways to train, as JSON", "deno task bench --only nano --only nano-untied --json")
    .throwErrors()
    .action(async ({ only, rounds, seconds, record, json, ...where }) => {
      if (!(seconds >= 0)) throw new ValidationError(`Cannot use --seconds ${seconds}: wanted 0 or more`);
      if (!(rounds > 0 && rounds % 2 === 1)) {
        throw new ValidationError(`Cannot use --rounds ${rounds}: wanted an odd number`);
      }
      const unknown = only?.find((name) => !names.includes(name));
      if (unknown !== undefined) {
        throw new ValidationError(`Cannot run the case ${unknown}: no such name, wanted ${names.join(", ")}`);
      }
      const hasDevice = where.device !== undefined || where.precision !== undefined;
      const asked = cases.filter((one) => only?.includes(one.name) ?? (!hasDevice || one.kind === "steps"));
      const other = hasDevice && asked.find((one) => one.kind !== "steps");
      if (other) throw new ValidationError(`Cannot run the case ${other.name} with --device: wanted a case of steps`);
      if (record !== undefined) await requireFolderOf(record);
      const machine = describeMachine();
      if (record !== undefined && machine.load > MAX_LOAD) {
        console.error(`warning: the machine is busy (load ${machine.load}): what is recorded will be too slow`);
      }
      const report = await bench(asked, {
        ...where,
        rounds,
        seconds,
        onCase: (name, round) => console.error(`bench ${name}, round ${round} of ${rounds}`),
        onFailure: (error) => {
          console.error(`error: ${messageOf(error)}`);
          Deno.exitCode = 1;
        },
      });
      console.log(json ? JSON.stringify(report, null, 2) : render(report));
      if (record === undefined) return;
      if (Deno.exitCode !== 0) throw new Error(`Cannot write ${record}: a case failed, wanted all of them`);
      await writeRecord(record, { machine, rounds, seconds, ...report });
    })
    .parse(Deno.args);
} catch (error) {
  fail(error);
}
