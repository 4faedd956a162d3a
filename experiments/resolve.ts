/** From a manifest to the plan: what the core runs, with every bank, site and number spelled out. */
import { manifest } from "./complete.ts";
import type { Manifest, ManifestInput } from "./manifest.ts";
import type { Bank, BankOf, Plan } from "./plan.ts";
import { type BankBody, type Group, layOut, tieGroups, untied } from "./topology.ts";

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
  const { lr, seed, tiedLrDivisor: _, warmupSteps, finalFraction, ...train } = m.train;
  const { kind, muon: { slices: __, ...muon }, adamw: { lrRatio, ...adamw }, clipNorm } = m.optimizer;
  const { banks, sites } = layOutModel(m);
  return {
    format: 1,
    name: m.name,
    seed,
    model: {
      family: m.model.family,
      vocab: m.model.vocab,
      width: m.model.width,
      embedding: "embedding",
      head: "head",
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

/** Expert tying as published: attention, norms and router belong to each site, experts to a group of sites. */
function layOutModel({ model, tie, optimizer, train }: Manifest): Pick<Plan, "banks" | "sites"> {
  const { width: D, heads: H, kvHeads: Hkv, headDim: P, vocab: V, layers, eps } = model;
  const isMiddle = (site: number) => site >= tie.skipFirst && site < layers - tie.skipLast;
  const expertsAt = (site: number) => (isMiddle(site) ? tie.expand : null) ?? model.experts;
  const matrices = { optimizer: optimizer.kind, lrDivisor: 1, initGain: 1 / Math.sqrt(3 * layers) };
  const others = { ...matrices, optimizer: "adamw" as const };

  const norm = (): BankBody<BankOf<"norm">> => ({ ...others, kind: "norm", shape: { D }, options: { eps } });
  const attention = (): BankBody => ({
    ...matrices,
    kind: "attention",
    shape: { D, H, Hkv, P },
    options: { qkNorm: model.qkNorm, clamp: model.clamp, ropeTheta: model.ropeTheta, eps },
  });
  const router = ([site]: Group): BankBody => ({
    ...others,
    kind: "router",
    shape: { D, E: expertsAt(site!) },
    options: { topK: model.topK, ...model.router },
  });
  const experts = (group: Group): BankBody => ({
    ...matrices,
    kind: "experts",
    shape: { E: expertsAt(group[0]!), D, F: model.expertWidth },
    options: { muonSlices: optimizer.muon.slices },
    lrDivisor: divisor(train.tiedLrDivisor, group.length, tie.groupSize > 1 && isMiddle(group[0]!)),
  });

  const apart = untied(layers);
  const { banks, sites } = layOut(
    { attentionNorm: apart, attention: apart, ffnNorm: apart, router: apart, experts: tieGroups(layers, tie) },
    { attentionNorm: norm, attention, ffnNorm: norm, router, experts },
  );
  const embedding: Bank = { id: "embedding", uses: 1, ...others, kind: "embedding", shape: { V, D }, options: {} };
  const head: Bank = { ...embedding, id: "head", kind: "head" };
  return { banks: [embedding, ...banks, { id: "final_norm", uses: 1, ...norm() }, head], sites };
}

/**
 * By what the learning rate of an expert bank is divided. `sqrt` and `linear` follow the bank's own uses, so that a
 * shorter last group is not divided as a full one; a number holds for every bank of a tied model's middle, as published.
 */
function divisor(mode: Manifest["train"]["tiedLrDivisor"], uses: number, isInTiedMiddle: boolean): number {
  switch (mode) {
    case "none":
      return 1;
    case "sqrt":
      return Math.sqrt(uses);
    case "linear":
      return uses;
    default:
      return isInTiedMiddle ? mode : 1;
  }
}
