/** Training for people: from a plan to a run folder, watched, interruptible and resumable. */
import { relative } from "@std/path";
import { ValidationError } from "@cliffy/command";
import type { Manifest, Plan } from "../../experiments/mod.ts";
import { Model } from "../../ffi/ts/model.ts";
import type { StatValues } from "../../ffi/ts/stats.ts";
import { BowlineError } from "../../ffi/ts/status.ts";
import { type DataInfo, Trainer } from "../../ffi/ts/trainer.ts";
import { cacheFolder } from "../cache.ts";
import { corpusFiles } from "../corpus.ts";
import { messageOf } from "../errors.ts";
import type { LogLevel } from "../levels.ts";
import { createLog, type Log } from "../log.ts";
import { Display } from "./display.ts";
import { describeEnvironment } from "./environment.ts";
import { evalEvent, EventLog, type RunEvent, stepEvent } from "./events.ts";
import { RunFolder } from "./folder.ts";
import { short, whole } from "./format.ts";
import { Interrupt, INTERRUPTED } from "./interrupt.ts";
import { progressLine, type Speed, summary } from "./text.ts";

/** What to run. */
export interface Experiment {
  /** What was asked. */
  readonly manifest: Manifest;
  /** What it resolved to. */
  readonly plan: Plan;
}

/** How to run an experiment; the experiment itself is not changed by any of it. */
export interface RunOptions {
  /** Folder of the run. */
  readonly out: string;
  /** Stop after this many completed steps, counted from the start of the run. */
  readonly steps: number;
  /** Threads; 0 means all cores. */
  readonly threads: number;
  /** Go on from the newest checkpoint. */
  readonly isResuming: boolean;
  /** Print events to stdout, and nothing else there. */
  readonly isJson: boolean;
  /** Print no progress and no summary. */
  readonly isQuiet: boolean;
  /** Which messages are shown. */
  readonly logLevel: LogLevel;
}

const SAMPLE = { prompt: "The", tokens: 48, temperature: 0.8, topP: 0.95 };

/** Everything that a run in progress uses. */
interface Run {
  readonly experiment: Experiment;
  readonly options: RunOptions;
  readonly folder: RunFolder;
  readonly trainer: Trainer;
  readonly display: Display;
  readonly log: Log;
  readonly interrupt: Interrupt;
  readonly events: EventLog;
  readonly data: DataInfo;
  /** Completed steps. */
  step: number;
  /** Completed steps of the newest checkpoint. */
  savedStep: number | undefined;
}

/** Trains, and sets the exit code 130 when interrupted. Nothing is written before everything has been checked. */
export async function train(experiment: Experiment, options: RunOptions): Promise<void> {
  const display = new Display(options.isQuiet);
  const log = createLog(options.logLevel, (line) => display.line(line));
  const folder = new RunFolder(options.out);
  await folder.check(experiment.manifest, options.isResuming);
  const checkpoint = options.isResuming ? await folder.newest() : undefined;
  const step = checkpoint?.step ?? 0;
  if (step >= options.steps) {
    return log.info(`${options.out} has a checkpoint at step ${step} already: nothing to do up to ${options.steps}`);
  }
  if (options.isResuming && !checkpoint) log.info(`${options.out} has no checkpoint: starting at step 0`);

  using trainer = new Trainer(experiment.plan, { threads: options.threads });
  // Not before: while there is a listener, Ctrl-C would have to wait for the end of a synchronous call.
  using interrupt = new Interrupt();
  interrupt.onRequest(() => {
    log.info("stopping; Ctrl-C again stops at once, without a checkpoint");
    trainer.cancel();
  });
  try {
    const request = { files: dataFiles(experiment), cacheDir: cacheFolder() };
    const data = await display.during("reading the data", trainer.stats, trainer.attachData(request));
    if (checkpoint) await trainer.load(checkpoint.path);
    const environment = describeEnvironment(options.threads);
    const { manifest, plan } = experiment;
    await folder.begin(
      { "manifest.json": manifest, "plan.json": plan, "environment.json": environment },
      data.tokenizerFile,
    );
    using events = await EventLog.open(folder.eventsPath, step, options.isJson);
    const { threads, core: { isa } } = environment;
    events.write({ type: "start", step, name: plan.name, steps: options.steps, threads, isa, data });
    announce(log, options.out, step, data);
    const savedStep = checkpoint?.step;
    await trainRecorded({
      experiment,
      options,
      folder,
      trainer,
      display,
      log,
      interrupt,
      events,
      data,
      step,
      savedStep,
    });
  } catch (error) {
    if (!isCancelled(error)) throw error;
    log.info("interrupted before the first step: nothing was written");
    Deno.exitCode = INTERRUPTED;
  } finally {
    display.clear();
  }
}

/** Trains and records how that ended. */
async function trainRecorded(run: Run): Promise<void> {
  const started = performance.now();
  const end = (reason: Extract<RunEvent, { type: "end" }>["reason"]) =>
    run.events.write({ type: "end", step: run.step, reason, seconds: (performance.now() - started) / 1000 });
  try {
    const held = await trainLoop(run);
    await save(run);
    if (run.interrupt.isRequested || !held) {
      end("interrupted");
      run.log.info(`interrupted at step ${run.step}; go on with --resume`);
      Deno.exitCode = INTERRUPTED;
      return;
    }
    const text = await sample(run);
    end(run.step === run.experiment.plan.train.steps ? "complete" : "steps");
    run.display.clear();
    const lines = summary(held, run.data, here(run.folder.checkpointPath(run.step)), SAMPLE.prompt, text);
    if (run.options.isJson) lines.forEach((line) => run.log.info(line));
    else if (!run.options.isQuiet) console.log(lines.join("\n"));
  } catch (error) {
    const newest = await run.folder.newest();
    const kept = newest ? `the newest checkpoint is ${here(newest.path)}` : "there is no checkpoint yet";
    run.log.warn(`the run failed after step ${run.step}; ${kept}`);
    try {
      run.events.write({ type: "warning", step: run.step, message: messageOf(error) });
      end("failed");
    } catch (secondary) {
      // A full disk may have caused both; the first error is the one to report.
      run.log.warn(`cannot record the failure: ${messageOf(secondary)}`);
    }
    throw error;
  }
}

/** Steps, evaluations and checkpoints; returns the last evaluation, or nothing if it was interrupted before. */
async function trainLoop(run: Run): Promise<StatValues | undefined> {
  const { trainer, display, events, interrupt, options } = run;
  const { train, checkpoint, eval: evaluation } = run.experiment.plan;
  const stepTokens = train.batch * train.accumulation * train.seqLen;
  let held: StatValues | undefined;
  let speed: Speed | undefined;
  try {
    while (run.step < options.steps && !interrupt.isRequested) {
      const stats = await trainer.step();
      run.step = stats.step;
      events.write(stepEvent(stats, stepTokens));
      speed = { secondsPerStep: smooth(speed?.secondsPerStep, stats.stepSeconds), stepTokens };
      display.step(run.step, progressLine(stats, options.steps, speed));
      if (run.step === options.steps || run.step % evaluation.every === 0) held = await evaluate(run);
      if (run.step % checkpoint.every === 0) await save(run);
    }
  } catch (error) {
    if (!isCancelled(error)) throw error;
    return undefined;
  }
  return held;
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
async function save(run: Run): Promise<void> {
  if (run.step === run.savedStep) return;
  const path = run.folder.checkpointPath(run.step);
  await run.trainer.save(path);
  run.savedStep = run.step;
  await run.folder.prune(run.experiment.plan.checkpoint.keep);
  run.events.write({ type: "checkpoint", step: run.step, path: relative(run.folder.path, path) });
  run.log.debug(`saved ${path}`);
}

/** A text by the model as it was saved. */
async function sample(run: Run): Promise<string> {
  using model = await Model.open(run.folder.checkpointPath(run.step), { threads: run.options.threads });
  const pieces = await Array.fromAsync(model.generate(SAMPLE.prompt, { ...SAMPLE, seed: run.experiment.plan.seed }));
  const text = pieces.join("");
  run.events.write({ type: "sample", step: run.step, prompt: SAMPLE.prompt, text });
  return text;
}

/** The absolute paths of the training data. */
function dataFiles({ plan: { name, data } }: Experiment): readonly string[] {
  if (data.corpus !== null) return corpusFiles(data.corpus);
  if (data.files.length > 0) return data.files;
  throw new ValidationError(`Cannot train ${name}: its manifest names no data, wanted --data FILE or data.corpus`);
}

function announce(log: Log, out: string, step: number, data: DataInfo): void {
  const skipped = data.skipped > 0 ? ` (${whole(data.skipped)} shorter ones skipped)` : "";
  log.info(
    `${whole(data.documents)} documents${skipped}: ${short(data.trainTokens)} training tokens, ` +
      `${short(data.heldOutTokens)} held out, vocabulary ${whole(data.vocab)}`,
  );
  log.info(step === 0 ? `training in ${out}` : `going on in ${out} after step ${step}`);
}

/** Moving average over about the last ten steps. */
function smooth(before: number | undefined, now: number): number {
  return before === undefined ? now : before + (now - before) / 10;
}

/** A path as one would type it here: relative below the working folder, otherwise as it is. */
function here(path: string): string {
  const below = relative(Deno.cwd(), path);
  return below.startsWith("..") ? path : below;
}

function isCancelled(error: unknown): boolean {
  return error instanceof BowlineError && error.code === "cancelled";
}
