/** `bowline plan`: what an experiment resolves to and what it costs, before anything runs. */
import { Command, ValidationError } from "@cliffy/command";
import {
  countFlops,
  countParameters,
  countTraffic,
  estimateTime,
  type Flops,
  type ParameterCounts,
  type TimeEstimate,
  tokensPerStep,
  type Traffic,
} from "../experiments/counts.ts";
import type { Bank, Plan, Site } from "../experiments/mod.ts";
import type { DeviceOptions } from "../ffi/ts/device.ts";
import { type Memory, type MemoryReport, planMemory } from "../ffi/ts/memory.ts";
import { DEVICE, deviceType, fallbackOf, PRECISION, precisionType } from "./device.ts";
import { bytes as size } from "./run/format.ts";

/** The report as data: what `--json` prints. */
export interface PlanReport {
  /** Name of the experiment. */
  name: string;
  /** Numbers of parameters. */
  parameters: ParameterCounts;
  /** Bytes held on the device, and the activations for either choice of `train.recompute`. */
  memory: Memory & { activationsBy: { keep: number; recompute: number } };
  /** Whether that fits, where the device is known. */
  fit: Omit<MemoryReport, "needed">;
  /** Arithmetic. */
  flops: Flops;
  /** Bytes moved. */
  bytes: Traffic;
  /** At the speed assumed. */
  time: TimeEstimate;
  /** The plan's banks. */
  banks: Bank[];
  /** The plan's sites. */
  sites: Site[];
}

/** Where the plan would run, and what the estimate of time assumes. */
export interface PlanReportOptions extends DeviceOptions {
  /**
   * Speed that the machine sustains, in 10^9 FLOPs per second.
   *
   * @default {100} about what two cores of a current server reach
   */
  gflops?: number | undefined;
}

const GFLOPS = 100;

/** What a plan costs, as data and as a text of several lines for people. */
export function planReport(
  plan: Plan,
  { gflops = GFLOPS, ...where }: PlanReportOptions = {},
): { json: PlanReport; text: string } {
  const { needed, ...fit } = planMemory(plan, where);
  const { recompute } = plan.train;
  const { activations: other } = planMemory({ ...plan, train: { ...plan.train, recompute: !recompute } }, where).needed;
  const [keep, recomputed] = recompute ? [other, needed.activations] : [needed.activations, other];
  const memory = { ...needed, activationsBy: { keep, recompute: recomputed } };
  const json: PlanReport = {
    name: plan.name,
    parameters: countParameters(plan),
    memory,
    fit,
    flops: countFlops(plan),
    bytes: countTraffic(plan, memory.activations),
    time: estimateTime(plan, gflops),
    banks: plan.banks,
    sites: plan.sites,
  };
  return { json, text: render(plan, json) };
}

/** The command `plan <preset|file>`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function planCommand() {
  return new Command()
    .description(
      "Show what an experiment resolves to and costs: parameters, memory, arithmetic, time. With --device, whether it fits " +
        "there, and what would.",
    )
    .arguments("<experiment:string>")
    .type("device", deviceType)
    .type("precision", precisionType)
    .option("--tie <g:integer>", "Tie the experts of this many consecutive middle sites.")
    .option("--expand <experts:integer>", "Experts of a middle bank.")
    .option("--set <assignment:string>", "Set any key of the manifest: path=value. Repeatable.", { collect: true })
    .option("--gflops <speed:number>", "Speed assumed for the time estimate, in 10^9 FLOPs per second.", {
      default: GFLOPS,
    })
    .option(...DEVICE)
    .option(...PRECISION)
    .option("--json", "Print JSON.")
    .example("What the study's smallest model takes", "bowline plan olmoe-tiny --tie 4")
    .example("Whether it fits into the GPU of this machine", "bowline plan olmoe-tiny --tie 4 --device cuda")
    .action(async (options, experiment) => {
      if (options.gflops <= 0) {
        throw new ValidationError(`Cannot use --gflops ${options.gflops}: wanted a positive number`);
      }
      const { loadManifest, resolve } = await import("../experiments/mod.ts");
      const report = planReport(resolve(await loadManifest(experiment, options)), options);
      console.log(options.json ? JSON.stringify(report.json, null, 2) : report.text);
    });
}

// --- text ---

function render(plan: Plan, { parameters, memory, fit, flops, bytes, time }: PlanReport): string {
  const { model, train } = plan;
  const { activationsBy, total, ...parts } = memory;
  const held = Object.entries(parts).filter(([, size]) => size > 0);
  const tokens = tokensPerStep(plan);
  const activations = ([choice, bytes]: [string, number]) => `${choice} ${size(bytes)}`;
  return [
    `${plan.name}: ${model.family}, width ${model.width}, vocabulary ${model.vocab}, ${plan.sites.length} sites`,
    `${train.steps} steps of ${tokens} tokens (${train.accumulation} x ${train.batch} windows of ${train.seqLen})`,
    section("parameters", Object.entries(parameters).map(([name, count]) => [name, grouped(count), metric(count)])),
    section("banks", bankRows(plan.banks)),
    section("sites", expertRows(plan)),
    section("memory", [...held, ["total", total] as const].map(([name, bytes]) => [name, size(bytes)])),
    `  activations: ${Object.entries(activationsBy).map(activations).join(", ")}`,
    ...describeFit(fit),
    section("FLOPs per token", [
      ["", "forward", "training"],
      ...Object.entries(flops.perToken.forward).filter(([, forward]) => forward > 0).map(([name, forward]) => [
        words(name),
        metric(forward),
        metric(flops.perToken.training[name as keyof typeof flops.perToken.training]),
      ]),
    ]),
    section("FLOPs per step", Object.entries(flops.perStep).map(([name, count]) => [words(name), metric(count)])),
    section("bytes", [
      ...Object.entries(bytes.perToken).map(([name, count]) => [`${words(name)} per token`, size(count)]),
      ["all-reduce per step", size(bytes.allReducePerStep)],
    ]),
    section(`time at ${time.gflops} GFLOP/s`, [
      ["step", duration(time.stepSeconds)],
      ["run", duration(time.runSeconds)],
      ["tokens per second", grouped(Math.round(time.tokensPerSecond))],
    ]),
  ].join("\n");
}

/** Whether the memory is there, where that is known; lines below the table of the memory. */
function describeFit({ room, fits, change, processes, device, missing }: PlanReport["fit"]): string[] {
  const fallback = device && fallbackOf(device);
  const lines = fallback ? [fallback] : [];
  if (room !== null) {
    const settings = change?.settings.map((setting) => `--set ${setting}`).join(" ");
    const remedies = [
      ...(change ? [`with ${settings} (${size(change.total)})`] : []),
      ...(processes ? [`with ${processes.count} processes (${size(processes.total)} each)`] : []),
    ];
    const remedy = remedies.length > 0 ? `; it fits ${remedies.join(", or ")}` : "";
    lines.push(`${fits ? "it fits" : "it does not fit"}: ${size(room.bytes)} are ${room.is}${remedy}`);
  }
  if (missing !== null) lines.push(`whether it fits there is not known: ${missing}`);
  return lines.map((line) => `  ${line}`);
}

/** Runs of banks that differ only in their number, one row each. */
function bankRows(banks: readonly Bank[]): string[][] {
  const rows = Map.groupBy(banks, ({ id: _, ...rest }) => JSON.stringify(rest));
  const shape = (bank: Bank) => Object.entries(bank.shape).map(([letter, size]) => `${letter} ${size}`).join(", ");
  return [
    ["kind", "banks", "uses", "optimizer", "lr /", "shape"],
    ...[...rows.values()].map((same) => {
      const bank = same[0]!;
      const divisor = String(Number(bank.lrDivisor.toPrecision(4)));
      return [bank.kind, String(same.length), String(bank.uses), bank.optimizer, divisor, shape(bank)];
    }),
  ];
}

/** Which sites use which bank of experts or dense feed-forward. */
function expertRows(plan: Plan): string[][] {
  const sitesOf = Map.groupBy(plan.sites.keys(), (index) => {
    const { experts, feedForward } = plan.sites[index]!;
    return experts ?? feedForward ?? ""; // a site has one of them
  });
  return [...sitesOf].map(([id, sites]) => [id, ranges(sites)]);
}

/** `0-1, 4` of 0, 1, 4. */
function ranges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const n of numbers) {
    const run = runs.at(-1);
    if (run && run[1] === n - 1) run[1] = n;
    else runs.push([n, n]);
  }
  return runs.map(([first, last]) => first === last ? `${first}` : `${first}-${last}`).join(", ");
}

/** A titled table; columns of numbers stand to the right. */
function section(title: string, rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const cells = (column: number) => rows.map((row) => row[column] ?? "");
  const widths = Array.from({ length: columns }, (_, column) => Math.max(...cells(column).map((c) => c.length)));
  const isNumeric = widths.map((_, column) => column > 0 && /^\d/.test(cells(column).at(-1)!));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => isNumeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)).join("  ").trimEnd();
  return [``, title, ...rows.map((row) => `  ${line(row)}`)].join("\n");
}

/** `muon momentum` of muonMomentum. */
function words(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function grouped(count: number): string {
  return count.toLocaleString("en-US");
}

function metric(count: number): string {
  const units = ["", "k", "M", "G", "T", "P", "E"];
  const rank = Math.min(units.length - 1, count < 1000 ? 0 : Math.floor(Math.log(count) / Math.log(1000)));
  return `${(count / 1000 ** rank).toFixed(rank === 0 ? 0 : 2)} ${units[rank]}`.trimEnd();
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds.toPrecision(3)} s`;
  const hours = seconds / 3600;
  return hours < 2
    ? `${Math.round(seconds / 60)} min`
    : hours < 48
    ? `${hours.toFixed(1)} h`
    : `${grouped(Math.round(hours / 24))} days`;
}
