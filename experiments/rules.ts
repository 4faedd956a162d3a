/** What the keys of a manifest must be to one another, beyond what each must be by itself. */
import { type Manifest, SITE_PARTS } from "./manifest.ts";
import { expertsAt, hasPart, partitions, sitesOfLoops } from "./topology.ts";

/** A demand on the keys of a manifest. */
export interface Rule {
  path: string;
  is: unknown;
  wanted: string;
  fits: boolean;
}

const rule = (path: string, is: unknown, wanted: string, fits: boolean): Rule => ({ path, is, wanted, fits });

/** What the keys of a manifest must be to one another; to be checked in this order. */
export function* rules(manifest: Manifest): Generator<Rule> {
  yield* modelRules(manifest);
  yield* groupRules(manifest);
  yield* partitionRules(manifest);
}

function modelRules({ model, losses, train, data, eval: evaluation }: Manifest): Rule[] {
  const { tokenizer, heldOut } = data;
  const kinds = [data.corpus !== null, data.files.length > 0, data.sources.length > 0].filter(Boolean).length;
  const isStream = data.order === "stream";
  return [
    rule(
      "model.heads",
      model.heads,
      `a multiple of model.kvHeads (${model.kvHeads})`,
      model.heads % model.kvHeads === 0,
    ),
    rule("model.headDim", model.headDim, "an even number (rotary pairs)", model.headDim % 2 === 0),
    rule("model.topK", model.topK, `at most model.experts (${model.experts})`, model.topK <= model.experts),
    ...denseRules(model),
    rule(
      "model.router.renormalize",
      model.router.renormalize,
      "false: a softmax over the chosen sums to 1 already",
      !model.router.renormalize || model.router.score !== "top-k-then-softmax",
    ),
    rule(
      "losses.maskLastTarget",
      losses.maskLastTarget,
      "false where train.seqLen is 1: no target is left",
      !losses.maskLastTarget || train.seqLen > 1,
    ),
    rule("train.seqLen", train.seqLen, `at most model.maxSeqLen (${model.maxSeqLen})`, train.seqLen <= model.maxSeqLen),
    rule(
      "model.paddingToken",
      model.paddingToken,
      `below model.vocab (${model.vocab}), or null`,
      model.paddingToken === null || model.paddingToken < model.vocab,
    ),
    rule(
      "data",
      { corpus: data.corpus, files: data.files.length, sources: data.sources.length },
      "one of corpus, files and sources",
      kinds <= 1,
    ),
    rule(
      "data.order",
      data.order,
      "stream where data.sources is given, and only there",
      isStream === data.sources.length > 0,
    ),
    rule(
      "data.heldOut.kind",
      heldOut.kind,
      `${
        isStream
          ? "documents or skip-tokens: a stream has no known end"
          : "documents or tail where data.order is shuffled-windows"
      }`,
      (isStream ? "tail" : "skip-tokens") !== heldOut.kind,
    ),
    rule(
      "data.separatorPlacement",
      data.separatorPlacement,
      "before where data.order is shuffled-windows",
      isStream || data.separatorPlacement === "before",
    ),
    rule(
      "eval.batches",
      evaluation.batches,
      "a number of batches where data.order is stream",
      !isStream || evaluation.batches !== null,
    ),
    rule(
      "data.sources",
      data.sources.map(({ name }) => name),
      "names that differ",
      new Set(data.sources.map(({ name }) => name)).size === data.sources.length,
    ),
    rule(
      "data.tokenizer.kind",
      tokenizer.kind,
      "model.vocab of at least 100277",
      tokenizer.kind !== "cl100k" || model.vocab >= 100_277,
    ),
    rule(
      "data.tokenizer.kind",
      tokenizer.kind,
      "model.vocab of at least 257",
      tokenizer.kind !== "bytes" || model.vocab >= 257,
    ),
    rule(
      "data.tokenizer.vocab",
      tokenizer.kind === "train-bpe" && tokenizer.vocab,
      `at most model.vocab (${model.vocab})`,
      tokenizer.kind !== "train-bpe" || tokenizer.vocab <= model.vocab,
    ),
    rule(
      "data.tokenizer.vocab",
      tokenizer.kind === "train-bpe" && tokenizer.vocab,
      "at least 257 (256 bytes and the separator)",
      tokenizer.kind !== "train-bpe" || tokenizer.vocab >= 257 || kinds === 0,
    ),
    rule(
      "data.heldOut.index",
      heldOut.kind === "documents" && heldOut.index,
      `below data.heldOut.every (${heldOut.kind === "documents" && heldOut.every})`,
      heldOut.kind !== "documents" || heldOut.index < heldOut.every,
    ),
  ];
}

function denseRules({ denseLayers, denseWidth, layers }: Manifest["model"]): Rule[] {
  const path = "model.denseLayers";
  const hasDense = denseLayers.length > 0;
  return [
    rule(path, denseLayers, `sites 0 to ${layers - 1}`, denseLayers.every((site) => site < layers)),
    rule(path, denseLayers, "every site once", new Set(denseLayers).size === denseLayers.length),
    rule("model.denseWidth", denseWidth, `a width for ${path}`, !hasDense || denseWidth !== null),
    rule("model.denseWidth", denseWidth, `null where ${path} is empty`, hasDense || denseWidth === null),
  ];
}

/** Groups of sites, before anything is shared by them. */
function groupRules({ model, tie }: Manifest): Rule[] {
  const middle = tie.loops ? looped(tie.loops) : model.layers - tie.skipFirst - tie.skipLast;
  const where = tie.loops ? "where no layer is looped" : "where no site is between the ends";
  const fewest = Math.min(model.experts, tie.expand ?? model.experts);
  const ends = tie.skipFirst + tie.skipLast;
  const sites = tie.loops && sitesOfLoops(tie.loops);
  return [
    rule(
      "tie.loops",
      tie.loops,
      `sites that add up to model.layers (${model.layers})`,
      (sites ?? model.layers) === model.layers,
    ),
    rule("tie.groupSize", tie.groupSize, "1 beside tie.loops", tie.groupSize === 1 || !tie.loops),
    rule("tie.skipFirst + tie.skipLast", ends, "0 beside tie.loops", ends === 0 || !tie.loops),
    rule("tie.skipFirst + tie.skipLast", ends, `at most model.layers (${model.layers})`, ends <= model.layers),
    rule("tie.expand", tie.expand, `at least model.topK (${model.topK})`, model.topK <= fewest),
    rule("tie.groupSize", tie.groupSize, `1 ${where}`, tie.groupSize === 1 || middle > 0),
    rule("tie.expand", tie.expand, `null ${where}`, tie.expand === null || middle > 0),
  ];
}

/** Number of sites that are uses of a looped layer. */
function looped(loops: readonly [number, number][]): number {
  return sitesOfLoops(loops.filter(([, times]) => times > 1));
}

function* partitionRules(manifest: Manifest): Generator<Rule> {
  const { model, tie } = manifest;
  for (const part of SITE_PARTS) {
    const groups = tie.partitions[part];
    if (!groups) continue;
    const path = `tie.partitions.${part}`;
    const numbers = groups.flat();
    const strangers = numbers.filter((site) => site < 0 || site >= model.layers);
    yield rule(
      path,
      groups,
      `sites 0 to ${model.layers - 1}: there is no site ${strangers[0]}`,
      strangers.length === 0,
    );
    const twice = numbers.find((site, i) => numbers.indexOf(site) !== i);
    yield rule(path, groups, `every site once: site ${twice} is named twice`, twice === undefined);
    const sites = Array.from({ length: model.layers }, (_, site) => site);
    const missing = sites.filter((site) => hasPart(manifest, site, part) && !numbers.includes(site));
    yield rule(path, groups, `every site once: site ${missing[0]} is in no group`, missing.length === 0);
    const without = numbers.filter((site) => !hasPart(manifest, site, part));
    yield rule(
      path,
      groups,
      `sites that have this part: site ${without[0]} has not (model.denseLayers)`,
      without.length === 0,
    );
    yield rule(path, groups, "groups of at least one site", groups.every((group) => group.length > 0));
  }
  const topology = partitions(manifest);
  for (const part of ["router", "experts"] as const) {
    const mixed = topology[part].find((group) =>
      group.some((site) => expertsAt(manifest, site) !== expertsAt(manifest, group[0]!))
    );
    const sizes = (mixed ?? []).map((site) => `site ${site} has ${expertsAt(manifest, site)}`).join(", ");
    const wanted = `groups of sites with one number of experts: ${sizes}`;
    yield rule(`tie.partitions.${part}`, tie.partitions[part], wanted, mixed === undefined);
  }
  const hasShared = topology.attention.some((group) => group.length > 1);
  yield rule(
    "tie.adapterRank",
    tie.adapterRank,
    "null where no attention is shared",
    tie.adapterRank === null || hasShared,
  );
}
