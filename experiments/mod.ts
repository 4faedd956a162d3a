/** Experiments: typed manifests, the plans they resolve to, and what a plan costs. */
export {
  ablation,
  type AblationName,
  ablationNames,
  CONFIGS,
  MODES,
  parseAblation,
  TOPOLOGIES,
  variants,
} from "./ablation.ts";
export { architectures, mainExperiments, TIES } from "./architectures.ts";
export { manifest } from "./complete.ts";
export {
  countFlops,
  countParameters,
  countTraffic,
  estimateTime,
  type Flops,
  type ParameterCounts,
  type TimeEstimate,
  type TokenFlops,
  tokensPerStep,
  type Traffic,
} from "./counts.ts";
export { ManifestError } from "./errors.ts";
export { loadManifest, type Overrides } from "./load.ts";
export {
  type Family,
  type Manifest,
  type ManifestInput,
  type Partially,
  SITE_PARTS,
  type SitePart,
  type Source,
} from "./manifest.ts";
export { nano, quickstart } from "./nano.ts";
export {
  type Bank,
  type BankCommon,
  type BankKinds,
  type BankOf,
  type Optimizer,
  type Plan,
  planSchema,
  type Site,
} from "./plan.ts";
export { preset, presets } from "./presets.ts";
export { plan, resolve } from "./resolve.ts";
export { MIXTURES } from "./mixtures.ts";
export { type ManifestKey, manifestKeys, manifestSchema } from "./schema.ts";
