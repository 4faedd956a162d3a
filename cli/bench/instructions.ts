/**
 * `deno task bench:instructions`: the instructions of one training step of nano on one thread, by group of functions.
 * Unlike times they are the same on a busy machine, so that a change of a few parts in a thousand shows.
 */
import { Command } from "@cliffy/command";
import { join } from "@std/path";
import Table from "cli-table3";
import { fail } from "../errors.ts";
import { byGroup, type Counts, difference, readCallgrind, total } from "./callgrind.ts";
import { cases, type StepsCase } from "./cases.ts";
import { checkGolden } from "./golden.ts";
import { buildSpeed } from "./native.ts";
import { number, percent } from "./numbers.ts";
import { describeMachine, type Machine, requireFolderOf, writeRecord } from "./record.ts";
import { readBaseline, requireValgrind } from "./valgrind.ts";

/** What is counted: the very first step. Under valgrind a step takes minutes, and a warm-up would take as many again. */
const CASE = {
  ...cases.find(({ name }) => name === "nano") as StepsCase,
  warmUpSteps: 0,
  goldenLoss: 7.640359666717997,
};

/** Instructions of one step. */
export interface Instructions {
  /** Case whose step it is. */
  readonly name: string;
  /** Vector instructions that the ops used: those that valgrind knows. */
  readonly isa: string;
  /** All instructions. */
  readonly total: number;
  /** Those of groups of functions, most first. */
  readonly groups: Readonly<Record<string, number>>;
}

/** Instructions with where they were counted. */
export interface InstructionsRecord extends Instructions {
  /** Where and when. */
  readonly machine: Machine;
}

/** What the native program prints. */
interface StepsLine {
  readonly isa: string;
  readonly losses: readonly number[];
}

/**
 * Counts the step after the case's warm-up: what a run of it has beyond a run that ends before it, so that start-up
 * cancels.
 *
 * @param program The native benchmark.
 * @throws {GoldenError} if the loss of the step is not the recorded one.
 */
export async function countStep(
  program: string,
  { name, plan, warmUpSteps, goldenLoss }: StepsCase,
): Promise<Instructions> {
  const runs = [warmUpSteps, warmUpSteps + 1].map((steps) => countRun(program, JSON.stringify(plan), steps));
  const [before, after] = await Promise.all(runs) as [Run, Run];
  checkGolden(name, `the loss after ${warmUpSteps} steps`, after.line.losses.at(-1) ?? NaN, goldenLoss);
  const counts = difference(after.counts, before.counts);
  const groups = [...byGroup(counts)].filter(([, count]) => count > 0); // others belong to start-up
  return { name, isa: after.line.isa, total: total(counts), groups: Object.fromEntries(groups) };
}

interface Run {
  readonly counts: Counts;
  readonly line: StepsLine;
}

async function countRun(program: string, plan: string, steps: number): Promise<Run> {
  const folder = await Deno.makeTempDir({ prefix: "bowline-bench-" });
  try {
    const file = join(folder, "callgrind.out");
    const options = [`--callgrind-out-file=${file}`, "--compress-strings=no", "--compress-pos=no", "--dump-line=no"];
    const { code, stdout, stderr } = await new Deno.Command("valgrind", {
      args: ["--tool=callgrind", ...options, program, "steps", plan, String(steps)],
    }).output();
    const text = new TextDecoder();
    if (code !== 0) throw new Error(`Cannot count instructions: valgrind ended with ${code}: ${text.decode(stderr)}`);
    return { counts: readCallgrind(await Deno.readTextFile(file)), line: JSON.parse(text.decode(stdout)) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A table for people, beside an earlier count if there is one. */
export function render({ name, isa, total, groups }: Instructions, before?: Instructions): string {
  const head = ["group", "instructions", "share", ...(before ? ["before", "ratio"] : [])];
  const row = (group: string, count: number, old: number | undefined) => [
    group,
    number(count),
    percent(count / total),
    ...(before ? [number(old ?? null), old ? (count / old).toFixed(4) : ""] : []),
  ];
  const colAligns = head.map((_, i) => i === 0 ? "left" as const : "right" as const);
  const table = new Table({ head, colAligns, style: { head: [], border: [], compact: true } });
  const names = new Set([...Object.keys(groups), ...Object.keys(before?.groups ?? {})]);
  table.push(row("all", total, before?.total));
  for (const group of names) table.push(row(group, groups[group] ?? 0, before?.groups[group]));
  return `One step of ${name}, one thread, ${isa}\n${table}`;
}

if (import.meta.main) {
  try {
    await new Command()
      .name("bench:instructions")
      .description(
        "Count the instructions of the first training step of nano with valgrind, by group of functions. It takes a quarter of an hour.",
      )
      .option("--against <file:string>", "Show the ratio to a record of an earlier count.")
      .option("--record <file:string>", "Also write what was counted to this file, with the machine.")
      .option("--json", "Print JSON.")
      .example(
        "What a change costs",
        "deno task bench:instructions --against experiments/records/bench/instructions.json",
      )
      .throwErrors()
      .action(async ({ against, record, json }) => {
        await requireValgrind();
        const before = against === undefined ? undefined : await readBaseline(against);
        if (record !== undefined) await requireFolderOf(record);
        const machine = describeMachine();
        const counted = await countStep(await buildSpeed(), CASE);
        if (before && before.isa !== counted.isa) {
          throw new Error(`Cannot compare with ${against}: it was counted with ${before.isa}, wanted ${counted.isa}`);
        }
        console.log(json ? JSON.stringify(counted, null, 2) : render(counted, before));
        if (record !== undefined) await writeRecord(record, { machine, ...counted });
      })
      .parse(Deno.args);
  } catch (error) {
    fail(error);
  }
}
