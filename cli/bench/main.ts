/** `deno task bench`: how fast this machine trains, loads and writes. */
import { Command, ValidationError } from "@cliffy/command";
import { DEVICE, deviceType, PRECISION, precisionType } from "../device.ts";
import { fail, messageOf } from "../errors.ts";
import { bench } from "./bench.ts";
import { cases } from "./cases.ts";
import { render } from "./table.ts";

const names = cases.map((one) => one.name);

try {
  await new Command()
    .name("bench")
    .description("Time training steps, the loader, generation and every operation of the core.")
    .option("--case <name:string>", `Only this case; repeatable. One of ${names.join(", ")}.`, { collect: true })
    .option("--seconds <n:number>", "Time for each case; each has a least number of steps.", { default: 5 as number })
    .type("device", deviceType)
    .type("precision", precisionType)
    .option(...DEVICE)
    .option(...PRECISION)
    .option("--json", "Print JSON.")
    .throwErrors()
    .action(async ({ case: chosen, seconds, json, ...where }) => {
      if (!(seconds >= 0)) throw new ValidationError(`Cannot use --seconds ${seconds}: wanted 0 or more`);
      const unknown = chosen?.find((name) => !names.includes(name));
      if (unknown !== undefined) {
        throw new ValidationError(`Cannot run the case ${unknown}: no such name, wanted ${names.join(", ")}`);
      }
      const hasDevice = where.device !== undefined || where.precision !== undefined;
      const asked = cases.filter((one) => chosen?.includes(one.name) ?? (!hasDevice || one.kind === "steps"));
      const other = hasDevice && asked.find((one) => one.kind !== "steps");
      if (other) throw new ValidationError(`Cannot run the case ${other.name} with --device: wanted a case of steps`);
      const report = await bench(asked, {
        ...where,
        seconds,
        onCase: (name) => console.error(`bench ${name}`),
        onFailure: (error) => {
          console.error(`error: ${messageOf(error)}`);
          Deno.exitCode = 1;
        },
      });
      console.log(json ? JSON.stringify(report, null, 2) : render(report));
    })
    .parse(Deno.args);
} catch (error) {
  fail(error);
}
