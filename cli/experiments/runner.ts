/** Runs selected experiments, some at a time, and says how each ended. */
import { join } from "@std/path";
import { messageOf } from "../errors.ts";
import { Display } from "../run/display.ts";
import { LOG_FILE } from "../run/folder.ts";
import { duration } from "../run/format.ts";
import { Interrupt, INTERRUPTED } from "../run/interrupt.ts";
import { Child } from "./child.ts";
import { type Selected, type SelectOptions, trainArguments } from "./select.ts";
import { stateOf } from "./state.ts";

/** How to run experiments. */
export interface RunAllOptions extends SelectOptions {
  /** So many at a time. */
  readonly jobs: number;
  /** Threads of each; undefined leaves it to the run. */
  readonly threads: number | undefined;
  /** Print a JSON line per run to stdout, and nothing else there. */
  readonly isJson: boolean;
  /** Print nothing but failures. */
  readonly isQuiet: boolean;
}

/** How one run ended, as `--json` prints it. */
export interface Outcome {
  /** Name of the experiment. */
  readonly name: string;
  /** Folder of the run. */
  readonly out: string;
  /** skipped: it was finished before. */
  readonly status: "finished" | "skipped" | "failed" | "interrupted";
  /** Steps that a checkpoint holds. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** The last held-out loss; null if there is none. */
  readonly loss: number | null;
  /** Time that this took now. */
  readonly seconds: number;
  /** Why it failed. */
  readonly reason?: string;
}

/** Runs that failed, after all others were done. */
export class RunsError extends Error {
  /** Process exit code. */
  readonly exitCode = 1;
  override readonly name = "RunsError";
}

/** What the workers of a call share. */
interface Work {
  readonly options: RunAllOptions;
  readonly display: Display;
  readonly interrupt: Interrupt;
  readonly running: Map<string, Child>;
  readonly outcomes: Outcome[];
  readonly total: number;
}

/**
 * Runs experiments. Sets the exit code 130 when interrupted.
 *
 * @throws {RunsError} at the end, if a run failed.
 */
export async function runAll(selected: readonly Selected[], options: RunAllOptions): Promise<void> {
  using interrupt = new Interrupt();
  const display = new Display(options.isQuiet);
  const work: Work = { options, display, interrupt, running: new Map(), outcomes: [], total: selected.length };
  interrupt.onRequest(() => {
    if (!options.isQuiet) display.line("stopping the runs at their next step; Ctrl-C again does not wait for them");
    for (const child of work.running.values()) child.stop();
  });
  const queue = selected.values();
  await Promise.all(Array.from({ length: options.jobs }, () => takeFrom(queue, work)));
  display.clear();
  summarize(work);
}

/** Runs what is left of the queue, which several workers share. */
async function takeFrom(queue: Iterable<Selected>, work: Work): Promise<void> {
  for (const selected of queue) {
    if (work.interrupt.isRequested) return;
    const started = performance.now();
    const { plan, out } = selected;
    const result = await runOne(selected, work);
    work.running.delete(plan.name);
    report(work, {
      name: plan.name,
      out,
      ...result,
      steps: plan.train.steps,
      seconds: (performance.now() - started) / 1000,
    });
  }
}

type Result = Pick<Outcome, "status" | "step" | "loss" | "reason">;

async function runOne(selected: Selected, { options, display, interrupt, running, ...work }: Work): Promise<Result> {
  const { plan: { name }, out } = selected;
  let { isFinished, ...state } = { isFinished: false, step: 0, loss: null as number | null };
  try {
    ({ isFinished, ...state } = await stateOf(selected));
    if (isFinished) return { ...state, status: "skipped" };
    await Deno.mkdir(out, { recursive: true });
    if (interrupt.isRequested) return { ...state, status: "interrupted" };
    const child = new Child(trainArguments(selected, options, options.threads), out);
    running.set(name, child);
    const { code, reason } = await child.end(() => {
      const others = [...running].map(([name, { lastLine }]) => `${name}: ${lastLine}`);
      display.status(`${work.outcomes.length}/${work.total} done | ${others.join(" | ")}`);
    });
    ({ isFinished, ...state } = await stateOf(selected));
    if (isFinished) return { ...state, status: "finished" };
    if (interrupt.isRequested && code === INTERRUPTED) return { ...state, status: "interrupted" };
    return { ...state, status: "failed", reason };
  } catch (error) {
    // Another manifest's run in the folder, no space, no permission: a matter of this run, not of the others.
    return { ...state, status: "failed", reason: messageOf(error) };
  }
}

function report({ options, display, outcomes, total }: Work, outcome: Outcome): void {
  outcomes.push(outcome);
  if (options.isJson) console.log(JSON.stringify(outcome));
  if (options.isQuiet && outcome.status !== "failed") return;
  const { name, out, status, step, steps, loss, seconds, reason } = outcome;
  const at = `step ${step}/${steps}`;
  const texts = {
    finished: `held-out loss ${loss?.toFixed(4)}, ${duration(seconds)}`,
    skipped: `finished before, held-out loss ${loss?.toFixed(4)}`,
    interrupted: `${at} is saved`,
    failed: `${at}: ${reason}; see ${join(out, LOG_FILE)}`,
  };
  display.line(`[${outcomes.length}/${total}] ${status} ${name}: ${texts[status]}`);
}

function summarize({ options, display, interrupt, outcomes, total }: Work): void {
  const having = (status: Outcome["status"]) => outcomes.filter((outcome) => outcome.status === status);
  const counts = [
    ...(["finished", "skipped", "interrupted", "failed"] as const).map((status) => [having(status).length, status]),
    [total - outcomes.length, "not started"],
  ].filter(([count]) => count !== 0).map((pair) => pair.join(" "));
  const line = `${total} ${total === 1 ? "run" : "runs"}: ${counts.join(", ")}`;
  if (options.isJson && !options.isQuiet) display.line(line);
  else if (!options.isQuiet) console.log(line);
  if (interrupt.isRequested) {
    if (!options.isQuiet) display.line("run the same command again to go on");
    Deno.exitCode = INTERRUPTED;
    return;
  }
  const failed = having("failed").map(({ name, reason }) => `${name} (${reason})`);
  if (failed.length > 0) throw new RunsError(`Cannot finish ${failed.length} of ${total} runs: ${failed.join(", ")}`);
}
