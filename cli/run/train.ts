/** Training for people: from a plan to a run folder, watched, interruptible and resumable. */
import { relative } from "@std/path";
import { ValidationError } from "@cliffy/command";
import { Model } from "../../ffi/ts/model.ts";
import type { DeviceInfo } from "../../ffi/ts/device.ts";
import type { CorpusInfo, DataInfo, StreamInfo } from "../../ffi/ts/data.ts";
import { place, type Ranks } from "../../ffi/ts/place.ts";
import { BowlineError } from "../../ffi/ts/status.ts";
import { Trainer } from "../../ffi/ts/trainer.ts";
import { cacheFolder } from "../cache.ts";
import { corpusFiles } from "../corpus.ts";
import { fallbackOf } from "../device.ts";
import { messageOf } from "../errors.ts";
import { createLog, type Log } from "../log.ts";
import { alarmOf } from "./alarm.ts";
import { changeOf, choose, describeMemory, recordedDevice } from "./device.ts";
import { Display } from "./display.ts";
import { describeEnvironment } from "./environment.ts";
import { EventLog, isComplete, readEvents, type RunEvent } from "./events.ts";
import { RunFolder } from "./folder.ts";
import { short, whole } from "./format.ts";
import { Interrupt, INTERRUPTED } from "./interrupt.ts";
import { RunLock } from "./lock.ts";
import { type Experiment, isCancelled, type Run, type RunOptions, save, trainLoop } from "./loop.ts";
import { summary } from "./text.ts";

const SAMPLE = { prompt: "The", tokens: 48, temperature: 0.8, topP: 0.95 };

/**
 * Trains, and sets the exit code 130 when interrupted. Nothing is written before everything has been checked. Of several
 * processes that a launcher started, the first writes and tells what happens; the others do the same work in silence.
 */
export async function train(experiment: Experiment, options: RunOptions): Promise<void> {
  const isFirst = place().rank === 0;
  const display = new Display(options.isQuiet || !isFirst);
  const log = createLog(isFirst ? options.logLevel : "error", (line) => display.line(line));
  const folder = new RunFolder(options.out);
  using lock = new RunLock(options.out);
  if (isFirst) await folder.check(experiment.manifest, options.isResuming);
  // A folder that is not there yet is not created, and so not locked, before everything has been checked.
  if (isFirst && await folder.exists()) {
    if (options.parent === undefined) await lock.take();
    else await lock.wait(() => log.info(`waiting: another process is training in ${options.out}`));
  }
  const checkpoint = options.isResuming ? await folder.newest() : undefined;
  const step = checkpoint?.step ?? 0;
  const recorded = checkpoint ? await readEvents(folder.eventsPath) : [];
  const isEnded = step < experiment.plan.train.steps || isComplete(recorded);
  if (step >= options.steps && isEnded) {
    return log.info(`${options.out} has a checkpoint at step ${step} already: nothing to do up to ${options.steps}`);
  }
  if (options.isResuming && !checkpoint) log.info(`${options.out} has no checkpoint: starting at step 0`);

  const before = checkpoint ? await recordedDevice(options.out) : undefined;
  using trainer = new Trainer(experiment.plan, {
    threads: options.threads,
    ...choose(options, before),
    parallel: true,
    isResuming: checkpoint !== undefined,
  });
  const device = trainer.device();
  const where = { threads: options.threads, device: device.name, precision: device.precision };
  const ranks = trainer.ranks();
  if (ranks.world > 1 && !options.isQuiet) display.line(describeRanks(ranks, device));
  // Not before: while there is a listener, Ctrl-C would have to wait for the end of a synchronous call.
  using interrupt = new Interrupt();
  interrupt.onRequest(() => {
    log.info("stopping; Ctrl-C again stops at once, without a checkpoint");
    trainer.cancel();
  });
  if (options.parent !== undefined) interrupt.follow(options.parent);
  try {
    const request = { files: dataFiles(experiment), cacheDir: cacheFolder(), commits: commitsOf(recorded) };
    await display.during("reading the data", trainer.stats, trainer.attachData(request));
    if (checkpoint) await trainer.load(checkpoint.path);
    else if (options.from !== undefined) await trainer.loadWeights(options.from);
    const data = trainer.dataInfo();
    const environment = { ...describeEnvironment(options.threads), device, ranks };
    const { manifest, plan } = experiment;
    if (isFirst && !lock.isHeld) {
      await lock.take();
      await folder.check(manifest, false); // another process may have trained there meanwhile
    }
    if (isFirst) {
      await folder.begin(
        { "manifest.json": manifest, "plan.json": plan, "environment.json": environment },
        data.tokenizerFile,
      );
    }
    const { steps, isJson } = options;
    using events = isFirst
      ? await EventLog.open(folder.eventsPath, { step, steps, isEchoed: isJson })
      : EventLog.elsewhere();
    const alarm = alarmOf(experiment, events.before);
    const { threads, core: { isa } } = environment;
    const origin = options.from === undefined ? {} : { from: options.from };
    const { name, precision } = device;
    events.write({
      type: "start",
      step,
      name: plan.name,
      steps,
      threads,
      isa,
      device: name,
      precision,
      data,
      ...origin,
    });
    for (const message of [fallbackOf(device), before ? changeOf(before, device) : null]) {
      if (message === null) continue;
      events.write({ type: "warning", step, message });
      log.warn(message);
    }
    const { needed, room } = trainer.memory();
    events.write({ type: "memory", step, ...needed, available: room?.bytes ?? null });
    log.info(describeMemory(needed, room, name));
    announce(log, options.out, step, data);
    const savedStep = checkpoint?.step;
    await trainRecorded({
      experiment,
      options,
      folder,
      trainer,
      where,
      display,
      log,
      interrupt,
      events,
      alarm,
      ranks,
      data,
      step,
      savedStep,
    });
  } catch (error) {
    trainer.fail(isCancelled(error) ? "interrupted" : messageOf(error));
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
  let isTogether = run.ranks.world > 1;
  const end = (reason: Extract<RunEvent, { type: "end" }>["reason"]) =>
    run.events.write({ type: "end", step: run.step, reason, seconds: (performance.now() - started) / 1000 });
  try {
    // A run that is stopped before its first checkpoint and resumed would start with other weights.
    if (run.options.from !== undefined) await save(run);
    const held = await trainLoop(run);
    await save(run);
    await run.trainer.leave();
    isTogether = false; // the first process does the rest by itself
    if (!held) {
      end("interrupted");
      run.log.info(`interrupted at step ${run.step}; go on with --resume`);
      Deno.exitCode = INTERRUPTED;
      return;
    }
    if (run.ranks.rank > 0) return;
    const text = await sample(run);
    end(run.step === run.experiment.plan.train.steps ? "complete" : "steps");
    run.display.clear();
    const lines = summary(held, run.data, here(run.folder.checkpointPath(run.step)), SAMPLE.prompt, text);
    if (run.options.isJson) lines.forEach((line) => run.log.info(line));
    else if (!run.options.isQuiet) console.log(lines.join("\n"));
  } catch (error) {
    if (!isTogether || isOfAll(error)) await saveBeforeFailing(run, isTogether);
    else run.trainer.fail(messageOf(error)); // others may wait for what will not come
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

/** Whether all processes that train together have this error, at the same step. */
function isOfAll(error: unknown): boolean {
  return error instanceof BowlineError && error.code === "not-finite";
}

/** Keeps the steps that were completed: one that fails, for want of data or because a loss is no number, changes nothing. */
async function saveBeforeFailing(run: Run, isTogether: boolean): Promise<void> {
  try {
    if (run.step > 0) await save(run); // first weights can be drawn again
    if (isTogether) await run.trainer.leave();
  } catch (secondary) {
    run.log.warn(`cannot save a checkpoint: ${messageOf(secondary)}`);
  }
}

/** A text by the model as it was saved, which takes the trainer's place on the device. */
async function sample(run: Run): Promise<string> {
  run.trainer[Symbol.dispose]();
  using model = await Model.open(run.folder.checkpointPath(run.step), run.where);
  const pieces = await Array.fromAsync(model.generate(SAMPLE.prompt, { ...SAMPLE, seed: run.experiment.plan.seed }));
  const text = pieces.join("");
  run.events.write({ type: "sample", step: run.step, prompt: SAMPLE.prompt, text });
  return text;
}

/** The absolute paths of the training data. */
function dataFiles({ plan: { name, data } }: Experiment): readonly string[] {
  if (data.corpus !== null) return corpusFiles(data.corpus);
  if (data.files.length > 0) return data.files;
  if (data.sources.length > 0) return []; // the plan names them
  throw new ValidationError(
    `Cannot train ${name}: its manifest names no data, wanted --data FILE, data.corpus or data.sources`,
  );
}

/** What revisions of datasets stood for when the run began: it goes on with the same files although a branch has moved. */
function commitsOf(events: readonly RunEvent[]): Readonly<Record<string, string>> {
  const data = events.findLast((event) => event.type === "start")?.data;
  return data?.kind === "stream" ? data.commits : {};
}

function describeRanks({ rank, world, engine }: Ranks, { name, card }: DeviceInfo): string {
  return `rank ${rank} of ${world}, ${engine}, ${card === null ? name : `${name} (${card.name})`}`;
}

function announce(log: Log, out: string, step: number, data: DataInfo): void {
  log.info(data.kind === "corpus" ? describeCorpus(data) : describeStream(data));
  log.info(step === 0 ? `training in ${out}` : `going on in ${out} after step ${step}`);
}

function describeStream({ sources, vocab }: StreamInfo): string {
  const parts = sources.map(({ name, share, files, bytes }) =>
    `${Math.round(100 * share)}% ${name} (${whole(files)} files, ${short(bytes)} bytes)`
  );
  return `${parts.join(", ")}; vocabulary ${whole(vocab)}`;
}

function describeCorpus(data: CorpusInfo): string {
  const skipped = data.skipped > 0 ? ` (${whole(data.skipped)} shorter ones skipped)` : "";
  return `${whole(data.documents)} documents${skipped}: ${short(data.trainTokens)} training tokens, ` +
    `${short(data.heldOutTokens)} held out, vocabulary ${whole(data.vocab)}`;
}

/** A path as one would type it here: relative below the working folder, otherwise as it is. */
function here(path: string): string {
  const below = relative(Deno.cwd(), path);
  return below.startsWith("..") ? path : below;
}
