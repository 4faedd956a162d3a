/**
 * Bowline trains Mixture-of-Experts language models whose layers share experts.
 *
 * An experiment is a manifest; it resolves to a plan, which a {@linkcode Trainer} runs and a {@linkcode Model} of a
 * checkpoint speaks. The native core is loaded at first use: `deno task build` makes it.
 *
 * @example A plan: 8 layers, of which the middle 4 share one bank of experts
 * ```ts
 * import { nano, plan } from "@bowline/bowline";
 *
 * const { banks, sites } = plan(nano);
 * const shared = banks.find((bank) => bank.kind === "experts" && bank.uses === 4);
 * console.assert(sites.filter((site) => site.experts === shared?.id).length === 4);
 * ```
 *
 * @example Training steps on tokens of one's own
 * ```ts
 * import { plan, Trainer } from "@bowline/bowline";
 *
 * const tiny = plan({
 *   name: "tiny",
 *   model: { family: "olmoe", vocab: 300, width: 16, layers: 4, heads: 2, experts: 4, topK: 2, expertWidth: 8 },
 *   tie: { groupSize: 2, skipFirst: 1, skipLast: 1 },
 *   train: { steps: 10, batch: 2, seqLen: 8, warmupSteps: 2 },
 * });
 * using trainer = new Trainer(tiny, { threads: 1 });
 * const tokens = Int32Array.from({ length: 2 * 9 }, (_, i) => i % 300); // batch x (seqLen + 1)
 * const first = await trainer.stepTokens(tokens);
 * const second = await trainer.stepTokens(tokens);
 * console.assert(second.lmLoss < first.lmLoss);
 * ```
 *
 * @module
 */
export {
  type CardInfo,
  type Device,
  type DeviceInfo,
  deviceInfo,
  type DeviceOptions,
  DEVICES,
  type Precision,
  PRECISIONS,
} from "./ffi/ts/device.ts";
export { type Memory, type MemoryReport, planMemory, type Room } from "./ffi/ts/memory.ts";
export {
  type Bank,
  type BankCommon,
  type BankKinds,
  type BankOf,
  type Family,
  type Manifest,
  manifest,
  ManifestError,
  type ManifestInput,
  nano,
  type Optimizer,
  type Partially,
  type Plan,
  plan,
  preset,
  presets,
  quickstart,
  resolve,
  type Site,
  SITE_PARTS,
  type SitePart,
  type Source,
} from "./experiments/mod.ts";
export {
  CHOICE_METRICS,
  type ChoiceTask,
  type ClozeTask,
  type CommonTask,
  type Dataset,
  type Path,
  type Splits,
  STUDY_TASKS,
  type Task,
  TASKS,
  type Template,
  type TextTask,
} from "./experiments/tasks/mod.ts";
export { Float, type Row, type Value } from "./experiments/harness/python.ts";
export { type CoreInfo, coreInfo, probe } from "./ffi/ts/library.ts";
export { type GenerateOptions, Model, type ModelOptions } from "./ffi/ts/model.ts";
export type { JobOptions } from "./ffi/ts/job.ts";
export type { Bos, ScoreReport, ScoreRequest, Tokenization } from "./ffi/ts/score.ts";
export { STAT_NAMES, type StatName, Stats, type StatValues } from "./ffi/ts/stats.ts";
export { BowlineError, CORE_CODES, type ErrorCode } from "./ffi/ts/status.ts";
export type { CorpusInfo, DataInfo, DataRequest, SourceInfo, StreamInfo } from "./ffi/ts/data.ts";
export { type Place, place, type Ranks } from "./ffi/ts/place.ts";
export { type Parameter, Trainer, type TrainerOptions } from "./ffi/ts/trainer.ts";
