/** Topologies: which sites share which bank. Any bank kind may be tied over any partition of the sites. */
import type { Bank, Site } from "./plan.ts";

/** Sites that share one bank, by index, ascending. */
export type Group = readonly number[];

/** The groups of one bank kind: every site is in exactly one, and groups stand in order of first use. */
export type Partition = readonly Group[];

/** For each part of a site, how the sites share its banks. */
export type Topology = Record<keyof Site, Partition>;

/** A bank without what its place in the topology gives. */
export type BankBody<B extends Bank = Bank> = B extends Bank ? Omit<B, "id" | "uses"> : never;

const PREFIXES: Record<keyof Site, string> = {
  attentionNorm: "attention_norm",
  attention: "attention",
  ffnNorm: "ffn_norm",
  router: "router",
  experts: "experts",
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

/** Makes the banks of a topology, numbered in order of first use, and the sites that name them. */
export function layOut(
  topology: Topology,
  make: { [Part in keyof Site]: (group: Group) => BankBody },
): { banks: Bank[]; sites: Site[] } {
  const parts = Object.keys(PREFIXES) as (keyof Site)[];
  const banks: Bank[] = [];
  const sites: Partial<Site>[] = [];
  for (const part of parts) {
    topology[part].forEach((group, n) => {
      const id = `${PREFIXES[part]}.${n}`;
      banks.push({ id, uses: group.length, ...make[part](group) });
      for (const site of group) sites[site] = { ...sites[site], [part]: id };
    });
  }
  return { banks, sites: sites as Site[] };
}
