/** Experiments: typed manifests, the plans they resolve to, and what a plan costs. */
export { manifest } from "./complete.ts";
export { ManifestError } from "./errors.ts";
export { type Manifest, type ManifestInput, type ManifestKey, manifestKeys, manifestSchema } from "./manifest.ts";
export { type Bank, type BankOf, type Plan, planSchema, type Site } from "./plan.ts";
export { preset, presets } from "./presets.ts";
export { plan, resolve } from "./resolve.ts";
