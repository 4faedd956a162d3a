/** From a manifest to the plan: what the core runs, with every bank, site and number spelled out. */
import { manifest } from "./complete.ts";
import type { Manifest, ManifestInput } from "./manifest.ts";
import type { Bank, BankOf, Plan } from "./plan.ts";
import { type BankBody, expertsAt, type Group, groupOf, isMiddle, layOut, partitions, siteGroups } from "./topology.ts";

/**
 * The plan of an experiment: completes and checks the manifest, then resolves it.
 *
 * @throws {ManifestError} if the manifest cannot be used.
 */
export function plan(input: ManifestInput): Plan {
  return resolve(manifest(input));
}

/** The plan of a complete manifest. */
export function resolve(m: Manifest): Plan {
  const { lr, seed, tiedLrDivisor: _, divisorScope: ___, warmupSteps, finalFraction, ...train } = m.train;
  const { kind, muon: { slices: __, ...muon }, adamw: { lrRatio, ...adamw }, clipNorm } = m.optimizer;
  const { banks, sites } = layOutModel(m);
  return {
    format: 3,
    name: m.name,
    seed,
    model: {
      family: m.model.family,
      vocab: m.model.vocab,
      width: m.model.width,
      embedding: "embedding",
      head: m.model.tiedHead ? "embedding" : "head",
      finalNorm: "final_norm",
      maxSeqLen: m.model.maxSeqLen,
      paddingToken: m.model.paddingToken,
    },
    banks,
    sites,
    losses: m.losses,
    optimizer: {
      kind,
      muon: { lr, ...muon },
      adamw: { lr: kind === "adamw" ? lr : lr * lrRatio, ...adamw },
      clipNorm,
    },
    schedule: { warmupSteps, steps: train.steps, finalFraction },
    train,
    data: m.data,
    checkpoint: m.checkpoint,
    eval: m.eval,
  };
}

/** The banks of a manifest and the sites that name them. */
function layOutModel(manifest: Manifest): Pick<Plan, "banks" | "sites"> {
  const { model, tie, optimizer } = manifest;
  const { width: D, heads: H, kvHeads: Hkv, headDim: P, vocab: V, layers, eps } = model;
  const matrices = { optimizer: optimizer.kind, lrDivisor: 1, initGain: 1 / Math.sqrt(3 * layers) };
  const others = { ...matrices, optimizer: "adamw" as const };

  const norm = (): BankBody<BankOf<"norm">> => ({ ...others, kind: "norm", shape: { D }, options: { eps } });
  const attention = (group: Group): BankBody => ({
    ...matrices,
    kind: "attention",
    shape: { D, H, Hkv, P },
    options: { qkNorm: model.qkNorm, clamp: model.clamp, ropeTheta: model.ropeTheta, eps },
    lrDivisor: lrDivisor(manifest, "attention", group),
  });
  const router = ([site]: Group): BankBody => ({
    ...others,
    kind: "router",
    shape: { D, E: expertsAt(manifest, site!) },
    options: { topK: model.topK, ...model.router },
  });
  const experts = (group: Group): BankBody => ({
    ...matrices,
    kind: "experts",
    shape: { E: expertsAt(manifest, group[0]!), D, F: model.expertWidth },
    options: { muonSlices: optimizer.muon.slices },
    lrDivisor: lrDivisor(manifest, "experts", group),
  });
  const feedForward = (group: Group): BankBody => ({
    ...matrices,
    kind: "feed_forward",
    // A rule of manifests: there is a width wherever there is a dense site.
    shape: { D, F: model.denseWidth! },
    options: { muonSlices: optimizer.muon.slices },
    lrDivisor: lrDivisor(manifest, "feedForward", group),
  });

  const topology = partitions(manifest);
  const { banks, sites } = layOut(topology, {
    attentionNorm: norm,
    attention,
    ffnNorm: norm,
    router,
    experts,
    feedForward,
  });
  const rank = tie.adapterRank;
  const adapted = topology.attention.filter((group) => rank !== null && group.length > 1).flat().sort((a, b) => a - b);
  const adapters = adapted.map((_, n): Bank => ({
    id: `adapter.${n}`,
    uses: 1,
    ...others,
    kind: "adapter",
    shape: { D, H, Hkv, P, R: rank! },
    options: {},
  }));
  const adapterAt = (site: number) => adapters[adapted.indexOf(site)]?.id ?? null;

  const embedding: Bank = {
    id: "embedding",
    uses: model.tiedHead ? 2 : 1,
    ...others,
    kind: "embedding",
    shape: { V, D },
    options: {},
  };
  const head: Bank[] = model.tiedHead ? [] : [{ ...embedding, id: "head", kind: "head" }];
  return {
    banks: [embedding, ...banks, ...adapters, { id: "final_norm", uses: 1, ...norm() }, ...head],
    sites: sites.map((site, n) => ({ ...site, adapter: adapterAt(n) })),
  };
}

/**
 * By what the learning rate of a bank's matrices is divided. `sqrt` and `linear` follow the number of uses: the bank's
 * own, so that a shorter last group is not divided as a full one, or with the scope `loop-group` those of the site's
 * group, shared or not, as the published ablation has it, whose AdamW divides nothing. A number holds for every bank of
 * a tied model's middle, as published, and for any other bank that is shared.
 */
function lrDivisor(manifest: Manifest, part: "attention" | "experts" | "feedForward", group: Group): number {
  const { tie, train, optimizer } = manifest;
  const mode = train.tiedLrDivisor;
  const isByGroup = train.divisorScope === "loop-group";
  if (isByGroup && optimizer.kind === "adamw") return 1;
  const uses = isByGroup ? groupOf(siteGroups(manifest), group[0]!).length : group.length;
  const isTied = uses > 1 || (part === "experts" && tie.groupSize > 1 && isMiddle(manifest, group[0]!));
  if (typeof mode === "number") return isTied ? mode : 1;
  return { none: 1, sqrt: Math.sqrt(uses), linear: uses }[mode];
}
