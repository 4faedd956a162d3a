/** Topologies: which sites share which bank. Any part of a site may be tied over any partition of the sites. */
import { type Manifest, SITE_PARTS, type SitePart } from "./manifest.ts";
import type { Bank, Site } from "./plan.ts";

/** Sites that share one bank, by index, ascending. */
export type Group = readonly number[];

/** The groups of one bank kind: every site that has it is in exactly one, and groups stand in order of first use. */
export type Partition = readonly Group[];

/** For each part of a site, how the sites share its banks. */
export type Topology = Record<SitePart, Partition>;

/** A bank without what its place in the topology gives. */
export type BankBody<B extends Bank = Bank> = B extends Bank ? Omit<B, "id" | "uses"> : never;

const PREFIXES: Record<SitePart, string> = {
  attentionNorm: "attention_norm",
  attention: "attention",
  ffnNorm: "ffn_norm",
  router: "router",
  experts: "experts",
  feedForward: "feed_forward",
};

/** The partition in which no two of `sites` sites share anything. */
export function untied(sites: number): Partition {
  return Array.from({ length: sites }, (_, site) => [site]);
}

/** How the middle sites are grouped. */
export interface Tie {
  /** g */
  groupSize: number;
  /** Sites at the start that stay apart. */
  skipFirst: number;
  /** Sites at the end that stay apart. */
  skipLast: number;
}

/**
 * The published partition: the ends stay apart, the sites between are cut into runs of g, the last of which may be
 * shorter (16 sites, g = 5: 2-6, 7-11, 12-13).
 */
export function tieGroups(sites: number, { groupSize, skipFirst, skipLast }: Tie): Partition {
  const groups: number[][] = [];
  for (let site = 0; site < sites; site++) {
    const offset = site - skipFirst;
    const isMiddle = offset >= 0 && site < sites - skipLast;
    if (isMiddle && offset % groupSize !== 0) groups.at(-1)!.push(site);
    else groups.push([site]);
  }
  return groups;
}

/**
 * The partition of a loop topology: each entry is a block of layers that is applied so many times in a row, all its layers
 * before the next time. The uses of one layer are a group: [2, 3] is 0, 2, 4 and 1, 3, 5.
 */
export function loopGroups(loops: readonly (readonly [layers: number, loops: number])[]): Partition {
  let first = 0;
  return loops.flatMap(([layers, times]) => {
    const start = first;
    first += layers * times;
    const uses = (layer: number) => Array.from({ length: times }, (_, loop) => start + loop * layers + layer);
    return Array.from({ length: layers }, (_, layer) => uses(layer));
  });
}

/** Number of sites of a loop topology. */
export function sitesOfLoops(loops: readonly (readonly [layers: number, loops: number])[]): number {
  return loops.reduce((sites, [layers, times]) => sites + layers * times, 0);
}

/** The groups of a manifest's sites, whatever they share. */
export function siteGroups({ model, tie }: Manifest): Partition {
  return tie.loops ? loopGroups(tie.loops) : tieGroups(model.layers, tie);
}

/** The group that a site is in. */
export function groupOf(partition: Partition, site: number): Group {
  return partition.find((group) => group.includes(site)) ?? [site];
}

/** Whether a site has a part: router and experts, or a dense feed-forward, and all else. */
export function hasPart({ model }: Manifest, site: number, part: SitePart): boolean {
  const isDense = model.denseLayers.includes(site);
  return part === "feedForward" ? isDense : !isDense || (part !== "router" && part !== "experts");
}

/** How the sites of a manifest share each part. */
export function partitions(manifest: Manifest): Topology {
  const { model, tie } = manifest;
  const ascending = (group: readonly number[]) => group.toSorted((a, b) => a - b);
  const given = (groups: readonly number[][]) => groups.map(ascending).sort((a, b) => a[0]! - b[0]!);
  const shared = siteGroups(manifest);
  const partition = (part: SitePart): Partition => {
    const groups = tie.partitions[part];
    if (groups) return given(groups);
    const all = tie.share.includes(part) ? shared : untied(model.layers);
    return all.map((group) => group.filter((site) => hasPart(manifest, site, part))).filter((group) =>
      group.length > 0
    );
  };
  return Object.fromEntries(SITE_PARTS.map((part) => [part, partition(part)])) as Topology;
}

/** Whether a site is one of those that tying is about: between the ends, or a use of a looped layer. */
export function isMiddle({ model, tie }: Manifest, site: number): boolean {
  if (tie.loops) return groupOf(loopGroups(tie.loops), site).length > 1;
  return site >= tie.skipFirst && site < model.layers - tie.skipLast;
}

/** Experts that a site's bank has. */
export function expertsAt(manifest: Manifest, site: number): number {
  return (isMiddle(manifest, site) ? manifest.tie.expand : null) ?? manifest.model.experts;
}

/** A site without its adapter, which no other site shares. */
export type SharedParts = Pick<Site, SitePart>;

/** A site before its banks are known; the parts that it has not stay null. */
const NO_PARTS = { router: null, experts: null, feedForward: null };

/** Makes the banks of a topology, numbered in order of first use, and for each site the ids of those it uses. */
export function layOut(
  topology: Topology,
  make: { [Part in SitePart]: (group: Group) => BankBody },
): { banks: Bank[]; sites: SharedParts[] } {
  const banks: Bank[] = [];
  const sites: Partial<SharedParts>[] = [];
  for (const part of SITE_PARTS) {
    topology[part].forEach((group, n) => {
      const id = `${PREFIXES[part]}.${n}`;
      banks.push({ id, uses: group.length, ...make[part](group) });
      for (const site of group) sites[site] = { ...NO_PARTS, ...sites[site], [part]: id };
    });
  }
  return { banks, sites: sites as SharedParts[] };
}
