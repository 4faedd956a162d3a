/**
 * The `config.json` of the compact form, in which every bank is stored once: what it says of sharing, in both directions.
 * ffi/src/interop/transformers has the classes that read it in Python.
 */
import { type Config, MOST_EXPERTS } from "./config_keys.ts";
import { unusable } from "./errors.ts";
import { type Family, type Manifest, type ManifestInput, SITE_PARTS, type SitePart } from "./manifest.ts";
import type { Plan } from "./plan.ts";

/** For each part that is shared, the number of each site's bank; null where a site has no such part. */
export type Tying = Record<string, (number | null)[]>;

/** What each part is called in `expert_tying`. */
const KEYS: Readonly<Record<SitePart, string>> = {
  attentionNorm: "attention_norm",
  attention: "attention",
  ffnNorm: "ffn_norm",
  router: "router",
  experts: "experts",
  feedForward: "feed_forward",
};

/** What the sites of a plan share; banks of a part are numbered in order of first use. */
export function tyingOf(plan: Plan): Tying {
  const tying: Tying = {};
  for (const part of SITE_PARTS) {
    const ids = [...new Set(plan.sites.map((site) => site[part]))].filter((id) => id !== null);
    const numbers = plan.sites.map((site) => site[part] === null ? null : ids.indexOf(site[part]));
    if (numbers.filter((number) => number !== null).length > ids.length) tying[KEYS[part]] = numbers;
  }
  return tying;
}

/** What the compact form says beyond what all forms do. */
export function readCompact(
  config: Config,
  layers: number,
): Partial<ManifestInput["model"]> & {
  family: Family;
  experts: number;
  expertWidth: number;
  tie: ManifestInput["tie"];
} {
  const counts = readList(
    config,
    "site_experts",
    layers,
    (n) => Number.isSafeInteger(n) && n >= 0 && n <= MOST_EXPERTS,
  );
  const { experts, tie } = expertsOf(counts);
  const denseLayers = counts.flatMap((count, site) => count === 0 ? [site] : []);
  const paddingToken = config.get("pad_token_id") ?? null;
  return {
    family: config.choice("family", ["olmoe", "qwen3", "mixtral", "deepseek-style", "vanilla"]),
    experts,
    expertWidth: config.size("moe_intermediate_size"),
    denseLayers,
    denseWidth: denseLayers.length > 0 ? config.size("intermediate_size") : null,
    qkNorm: config.choice("qk_norm", ["whole", "head", "none"]),
    clamp: config.optionalPositive("clip_qkv"),
    router: {
      score: config.choice("router_score", ["softmax-then-top-k", "top-k-then-softmax"]),
      renormalize: config.flag("norm_topk_prob"),
    },
    // The manifest's own rules say what it must be.
    paddingToken: paddingToken as number | null,
    tie: { ...tie, partitions: readTying(config, layers) },
  };
}

/**
 * The numbers of experts of a manifest: one, and possibly another one for a run of sites.
 *
 * @throws {ManifestError} if there are others.
 */
function expertsOf(counts: readonly number[]): { experts: number; tie: Partial<Manifest["tie"]> } {
  const experts = counts.find((count) => count > 0);
  if (experts === undefined) throw unusable("site_experts", counts, "at least one site with experts");
  const isOther = (count: number) => count > 0 && count !== experts;
  const [first, last] = [counts.findIndex(isOther), counts.findLastIndex(isOther)];
  if (first === -1) return { experts, tie: {} };
  const expand = counts[first]!;
  if (counts.slice(first, last + 1).some((count) => count > 0 && count !== expand)) {
    throw unusable("site_experts", counts, `${experts}, and one other number for a run of sites`);
  }
  return { experts, tie: { expand, skipFirst: first, skipLast: counts.length - 1 - last } };
}

function readTying(config: Config, layers: number): Partial<Manifest["tie"]["partitions"]> {
  const tying = config.object("expert_tying");
  const parts = Object.fromEntries(SITE_PARTS.map((part) => [KEYS[part], part]));
  return Object.fromEntries(
    tying.keys().map((key) => {
      const part = parts[key];
      if (part === undefined) {
        throw unusable(`expert_tying.${key}`, tying.get(key), `one of ${Object.keys(parts).join(", ")}`);
      }
      const banks = readList(tying, key, layers, (n) => n === null || (Number.isSafeInteger(n) && n >= 0));
      const groups = new Map<number, number[]>();
      banks.forEach((bank, site) => bank !== null && groups.set(bank, [...groups.get(bank) ?? [], site]));
      return [part, [...groups.values()]];
    }),
  );
}

function readList(config: Config, key: string, layers: number, fits: (entry: number) => boolean): number[] {
  const list = config.get(key);
  if (Array.isArray(list) && list.length === layers && list.every(fits)) return list;
  throw unusable(key, list, `a list of a number for each of ${layers} layers`);
}
