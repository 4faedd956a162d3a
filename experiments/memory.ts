/**
 * Memory that training holds, from the plan alone: what the core allocates, buffer by buffer. Everything is 4 bytes wide.
 * Letters: T tokens of a micro-step, N = T K routed rows, and those of the plan.
 */
import { F32 } from "./counts.ts";
import { elements, parts, type SiteBanks, siteBanks, sum } from "./parts.ts";
import type { Plan } from "./plan.ts";

/** Bytes by part. */
export interface Memory {
  /** Parameters, each bank once. */
  weights: number;
  /** Gradients, each bank once. */
  gradients: number;
  /** Muon's momentum: one value per parameter that it updates. */
  muonMomentum: number;
  /** AdamW's moments: two values per parameter that it updates. */
  adamwMoments: number;
  /** Activations kept for the backward pass of a micro-step, under the plan's `train.recompute`. */
  savedActivations: number;
  /** The same for either choice. */
  savedActivationsBy: { keep: number; recompute: number };
  /** Logits of one chunk of rows and the partial input gradients, whatever T is. */
  headChunk: number;
  /** Buffers whose content does not outlive a site, and the residual stream. */
  scratch: number;
  /** Sum of the above, savedActivationsBy aside. */
  total: number;
}

/** Counts the memory of a plan, in bytes. */
export function countMemory(plan: Plan): Memory {
  const { batch, seqLen, recompute } = plan.train;
  const T = batch * seqLen;
  const tensors = plan.banks.flatMap(parts);
  const updatedBy = (optimizer: string) => sum(tensors.filter((part) => part.optimizer === optimizer).map(elements));
  const weights = F32 * sum(tensors.map(elements));
  const saved = siteBanks(plan).map((site) => F32 * savedElements(site, T));
  const savedActivationsBy = {
    keep: sum(saved),
    // Every site's input, and all of one site at a time.
    recompute: F32 * plan.sites.length * T * plan.model.width + Math.max(...saved),
  };
  const held = {
    weights,
    gradients: weights,
    muonMomentum: F32 * updatedBy("muon"),
    adamwMoments: 2 * F32 * updatedBy("adamw"),
    savedActivations: recompute ? savedActivationsBy.recompute : savedActivationsBy.keep,
    headChunk: F32 * headChunkElements(plan, T),
    scratch: F32 * scratchElements(plan, T),
  };
  return { ...held, savedActivationsBy, total: sum(Object.values(held)) };
}

/** What the backward pass of a site reads of its forward pass, in elements. */
function savedElements({ attention, moe, dense }: SiteBanks, T: number): number {
  const { D, H, Hkv, P } = attention.shape;
  return sum([
    T * D, // input of the attention half
    T * (H + 2 * Hkv) * P, // q, k, v as projected
    T * H * P, // output of attention before wo
    T * H, // log-sum-exp of its scores
    T * D, // input of the feed-forward half
    moe ? savedByExperts(moe, T) : 0,
    dense ? T * 2 * dense.shape.F : 0, // gate and up projections
  ]);
}

function savedByExperts({ router, experts }: NonNullable<SiteBanks["moe"]>, T: number): number {
  const [N, E, F] = [T * router.options.topK, experts.shape.E, experts.shape.F];
  return sum([
    T * E + T, // router scores and log-sum-exp
    2 * N, // expert ids and combine weights
    2 * N + E + 1, // dispatch plan: both row maps, offsets
    N * 2 * F, // gate and up projections
  ]);
}

/** Largest chunk of the head, in rows and in logits (128 MiB), and the parts that its vocabulary is cut into. */
const HEAD_CHUNK = { leastRows: 32, mostRows: 256, mostLogits: 2 ** 25, parts: 32 };

function headChunkElements({ model: { vocab, width } }: Plan, T: number): number {
  const fitting = Math.floor(HEAD_CHUNK.mostLogits / vocab);
  const rows = Math.min(T, Math.max(HEAD_CHUNK.leastRows, Math.min(HEAD_CHUNK.mostRows, fitting)));
  return rows * (vocab + HEAD_CHUNK.parts * width);
}

function scratchElements(plan: Plan, T: number): number {
  const sites = siteBanks(plan);
  const D = plan.model.width;
  const most = (size: (site: SiteBanks) => number) => T * Math.max(...sites.map(size));
  const q = most(({ attention: { shape: { H, P } } }) => H * P);
  const kv = most(({ attention: { shape: { Hkv, P } } }) => Hkv * P);
  const N = most(({ moe }) => moe?.router.options.topK ?? 0);
  const NF = most(({ moe }) => moe ? moe.router.options.topK * moe.experts.shape.F : 0);
  const TF = most(({ dense }) => dense?.shape.F ?? 0);
  return sum([
    3 * T * D + 3 * T, // residual stream, its gradient, input of the head; tokens, targets, losses
    2 * T * D + 4 * q + 5 * kv, // attention: normed input, q, k, v ready for use, and the gradients of all
    2 * most(({ adapter }) => adapter?.shape.R ?? 0), // the adapter's inner vector and its gradient
    (N > 0 ? 2 * T * D : 0) + most(({ moe }) => moe?.experts.shape.E ?? 0), // experts: normed input, its gradient, logits
    2 * N * D + 4 * NF + N, // rows in expert order, activations, and their gradients
    TF > 0 ? 2 * T * D + 4 * TF + 4 * T + 2 : 0, // dense: the same, weights that are 1 and the order of the rows
  ]);
}
