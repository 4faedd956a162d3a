/** The tensors of a bank: names, shapes and who updates them, as the core lays them out. */
import type { Bank, BankOf, Plan } from "./plan.ts";

/** One tensor of a bank. */
export interface Part {
  /** Name in checkpoints: bank id and part. */
  name: string;
  /** Length of each axis. */
  shape: readonly number[];
  /** Norm gains are AdamW's whatever the bank's optimizer is. */
  optimizer: Bank["optimizer"];
  /** How it falls into matrices that Muon orthogonalises one by one; null for a gain. */
  matrices: { count: number; rows: number; cols: number } | null;
}

/** The tensors of a bank, in the order of the checkpoint. */
export function parts(bank: Bank): Part[] {
  const gain = (part: string, size: number): Part => ({
    name: `${bank.id}.${part}`,
    shape: [size],
    optimizer: "adamw",
    matrices: null,
  });
  // `pieces` equal runs of rows of each matrix are orthogonalised apart.
  const matrices = (part: string, shape: readonly number[], pieces = 1): Part => {
    const [rows, cols] = [shape.at(-2)!, shape.at(-1)!];
    return {
      name: `${bank.id}.${part}`,
      shape,
      optimizer: bank.optimizer,
      matrices: { count: product(shape.slice(0, -2)) * pieces, rows: rows / pieces, cols },
    };
  };
  switch (bank.kind) {
    case "embedding":
    case "head":
      return [matrices("weight", [bank.shape.V, bank.shape.D])];
    case "norm":
      return [gain("weight", bank.shape.D)];
    case "router":
      return [matrices("weight", [bank.shape.E, bank.shape.D])];
    case "attention": {
      const { D, H, Hkv, P } = bank.shape;
      const gains = {
        whole: [gain("q_norm", H * P), gain("k_norm", Hkv * P)],
        head: [gain("q_norm", P), gain("k_norm", P)],
      };
      return [
        matrices("wq", [H * P, D]),
        matrices("wk", [Hkv * P, D]),
        matrices("wv", [Hkv * P, D]),
        matrices("wo", [D, H * P]),
        ...(bank.options.qkNorm === "none" ? [] : gains[bank.options.qkNorm]),
      ];
    }
    case "adapter": {
      const { D, H, Hkv, P, R } = bank.shape;
      return [matrices("a", [R, D]), matrices("b_q", [H * P, R]), matrices("b_k", [Hkv * P, R])];
    }
    case "experts": {
      const { E, D, F } = bank.shape;
      const pieces = bank.options.muonSlices === "split" ? 2 : 1;
      return [matrices("gate_up", [E, 2 * F, D], pieces), matrices("down", [E, D, F])];
    }
    case "feed_forward": {
      const { D, F } = bank.shape;
      const pieces = bank.options.muonSlices === "split" ? 2 : 1;
      return [matrices("gate_up", [2 * F, D], pieces), matrices("down", [D, F])];
    }
  }
}

/** Number of elements of a tensor. */
export function elements(part: Part): number {
  return product(part.shape);
}

/** Number of elements of a bank. */
export function bankElements(bank: Bank): number {
  return sum(parts(bank).map(elements));
}

/** The banks that one site uses. */
export interface SiteBanks {
  attentionNorm: BankOf<"norm">;
  attention: BankOf<"attention">;
  ffnNorm: BankOf<"norm">;
  /** Router and experts, or null where the site is dense. */
  moe: { router: BankOf<"router">; experts: BankOf<"experts"> } | null;
  /** The dense feed-forward, or null. */
  dense: BankOf<"feed_forward"> | null;
  adapter: BankOf<"adapter"> | null;
}

/**
 * The bank of an id.
 *
 * @throws {RangeError} if the plan has no bank of that id and kind.
 */
export function bankOf<K extends Bank["kind"]>(plan: Plan, id: string, kind: K): BankOf<K> {
  const bank = plan.banks.find((b) => b.id === id);
  if (bank?.kind !== kind) {
    throw new RangeError(`Cannot use bank ${id}: ${bank?.kind ?? "not in the plan"}, wanted ${kind}`);
  }
  return bank as BankOf<K>;
}

/** For each site, the banks it names. */
export function siteBanks(plan: Plan): SiteBanks[] {
  return plan.sites.map((site) => ({
    attentionNorm: bankOf(plan, site.attentionNorm, "norm"),
    attention: bankOf(plan, site.attention, "attention"),
    ffnNorm: bankOf(plan, site.ffnNorm, "norm"),
    moe: site.router === null || site.experts === null
      ? null
      : { router: bankOf(plan, site.router, "router"), experts: bankOf(plan, site.experts, "experts") },
    dense: site.feedForward === null ? null : bankOf(plan, site.feedForward, "feed_forward"),
    adapter: site.adapter === null ? null : bankOf(plan, site.adapter, "adapter"),
  }));
}

/** Sum, 0 of nothing. */
export function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

function product(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a * b, 1);
}
