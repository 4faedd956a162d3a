/** The steps of a run, with their record: training, evaluation, checkpoints. */
import { relative } from "@std/path";
import type { Manifest, Plan } from "../../experiments/mod.ts";
import type { DeviceOptions } from "../../ffi/ts/device.ts";
import type { StatValues } from "../../ffi/ts/stats.ts";
import { BowlineError } from "../../ffi/ts/status.ts";
import type { DataInfo } from "../../ffi/ts/data.ts";
import type { Ranks } from "../../ffi/ts/place.ts";
import type { Trainer } from "../../ffi/ts/trainer.ts";
import type { DeviceFlags } from "../device.ts";
import type { LogLevel } from "../levels.ts";
import type { Log } from "../log.ts";
import type { CollapseAlarm } from "./alarm.ts";
import type { Display } from "./display.ts";
import { dataEvent, evalEvent, type EventLog, stepEvent } from "./events.ts";
import type { RunFolder } from "./folder.ts";
import type { Interrupt } from "./interrupt.ts";
import { progressLine, type Speed } from "./text.ts";

/** What to run. */
export interface Experiment {
  /** What was asked. */
  readonly manifest: Manifest;
  /** What it resolved to. */
  readonly plan: Plan;
}

/** How to run an experiment; the experiment itself is not changed by any of it. A run that goes on keeps its device. */
export interface RunOptions extends DeviceFlags {
  /** Folder of the run. */
  readonly out: string;
  /** Stop after this many completed steps, counted from the start of the run. */
  readonly steps: number;
  /** Threads; 0 means all cores. */
  readonly threads: number;
  /** Go on from the newest checkpoint. */
  readonly isResuming: boolean;
  /** The checkpoint whose weights a new run starts with. */
  readonly from?: string | undefined;
  /** The process that this one works for: wait for the folder if it is in use, and stop when that process ends. */
  readonly parent?: number | undefined;
  /** Print events to stdout, and nothing else there. */
  readonly isJson: boolean;
  /** Print no progress and no summary. */
  readonly isQuiet: boolean;
  /** Which messages are shown. */
  readonly logLevel: LogLevel;
}

/** Everything that a run in progress uses. */
export interface Run {
  readonly experiment: Experiment;
  readonly options: RunOptions;
  readonly folder: RunFolder;
  readonly trainer: Trainer;
  /** What the trainer was opened on. */
  readonly where: DeviceOptions;
  readonly display: Display;
  readonly log: Log;
  readonly interrupt: Interrupt;
  readonly events: EventLog;
  readonly alarm: CollapseAlarm;
  /** This process among those that train together: all make the same calls, the first records them. */
  readonly ranks: Ranks;
  /** As of the newest checkpoint. */
  data: DataInfo;
  /** Completed steps. */
  step: number;
  /** Completed steps of the newest checkpoint. */
  savedStep: number | undefined;
}

/** Steps, evaluations and checkpoints; returns the evaluation at the end, or nothing if it was interrupted before. */
export async function trainLoop(run: Run): Promise<StatValues | undefined> {
  const { trainer, display, options } = run;
  const { train, checkpoint, eval: evaluation } = run.experiment.plan;
  const stepTokens = train.batch * train.accumulation * train.seqLen;
  let speed: Speed | undefined;
  try {
    while (run.step < options.steps && !isStopping(run)) {
      const stats = await trainer.step();
      run.step = stats.step;
      record(run, stepEvent(stats, stepTokens));
      speed = { secondsPerStep: smooth(speed?.secondsPerStep, stats.stepSeconds), stepTokens };
      display.step(run.step, progressLine(stats, options.steps, speed));
      if (run.step < options.steps && run.step % evaluation.every === 0) await evaluate(run);
      if (run.step % checkpoint.every === 0) await save(run);
    }
    await save(run); // the evaluation can be done again, the steps need not be
    return isStopping(run) ? undefined : await evaluate(run);
  } catch (error) {
    if (!isCancelled(error)) throw error;
    return undefined;
  }
}

/** Whether to stop here. Of several processes none stops by itself: it asks for it in the next call, and all are told there. */
function isStopping({ interrupt, trainer, ranks }: Run): boolean {
  if (!interrupt.isRequested) return false;
  if (ranks.world > 1) trainer.cancel();
  return ranks.world === 1;
}

/** Records a step, and what there is to warn of. */
function record({ events, alarm, log }: Run, event: ReturnType<typeof stepEvent>): void {
  events.write(event);
  for (const message of alarm.observe(event)) {
    events.write({ type: "warning", step: event.step, message });
    log.warn(message);
  }
}

async function evaluate(run: Run): Promise<StatValues> {
  const { trainer, display, events, log, experiment: { plan: { eval: { batches } } } } = run;
  const stats = await display.during("evaluating", trainer.stats, trainer.evaluate(batches));
  const event = evalEvent(stats, run.step);
  events.write(event);
  log.info(`step ${run.step}: held-out loss ${event.loss.toFixed(4)}, perplexity ${event.perplexity.toFixed(2)}`);
  return stats;
}

/** Saves a checkpoint unless there is one of this step, and only then removes old ones. */
export async function save(run: Run): Promise<void> {
  if (run.step === run.savedStep) return;
  const path = run.folder.checkpointPath(run.step);
  await run.trainer.save(path);
  run.savedStep = run.step;
  if (run.ranks.rank > 0) return;
  recordData(run);
  await run.folder.prune(run.experiment.plan.checkpoint.keep);
  run.events.write({ type: "checkpoint", step: run.step, path: relative(run.folder.path, path) });
  run.log.debug(`saved ${path}`);
}

/** Records what was read of streamed data, and warns of what cannot be read. */
function recordData(run: Run): void {
  const data = run.trainer.dataInfo();
  if (data.kind !== "stream") return;
  run.events.write(dataEvent(data.sources, run.step));
  const before = run.data.kind === "stream" ? run.data.sources : [];
  data.sources.forEach(({ name, bad }, i) => {
    const more = bad - (before[i]?.bad ?? 0);
    if (more > 0) run.log.warn(`${more} more records of ${name} cannot be read and are left out`);
  });
  run.data = data;
}

/** Moving average over about the last ten steps. */
function smooth(before: number | undefined, now: number): number {
  return before === undefined ? now : before + (now - before) / 10;
}

/** Whether a call of the core ended because it was asked to. */
export function isCancelled(error: unknown): boolean {
  return error instanceof BowlineError && error.code === "cancelled";
}
