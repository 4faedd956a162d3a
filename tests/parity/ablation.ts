/** Golden cases of the component ablation: the vanilla transformer with looped layers. */
import { type Plan, plan, SITE_PARTS, type SitePart } from "../../experiments/mod.ts";
import type { Place } from "./golden.ts";
import type { Tensors } from "./safetensors.ts";

type Loops = [layers: number, loops: number][];

/** The plan of a case and where its parameters lie. */
export function readAblation(
  // deno-lint-ignore no-explicit-any -- a foreign program's JSON
  json: any,
  tensors: Tensors,
): { plan: Plan; places: ReadonlyMap<string, readonly Place[]> } {
  const { config } = json;
  const loops: Loops = config.topology;
  const isShared: Record<SitePart, boolean> = {
    attentionNorm: false,
    attention: !config.per_loop_attn,
    ffnNorm: false,
    router: !config.per_loop_routers,
    experts: true,
    feedForward: false,
  };
  const made = plan({
    name: "parity",
    model: {
      family: "vanilla",
      vocab: config.vocab_size,
      width: config.d_model,
      layers: loops.reduce((sites, [layers, times]) => sites + layers * times, 0),
      heads: config.n_heads,
      experts: config.n_experts,
      topK: config.top_k,
      expertWidth: config.d_ff,
      qkNorm: config.qk_norm ? "head" : "none",
      eps: config.rms_norm_eps,
      ropeTheta: config.rope_theta,
      tiedHead: config.tied_embeddings,
    },
    tie: {
      loops,
      share: SITE_PARTS.filter((part) => isShared[part]),
      adapterRank: config.use_attn_lora ? config.lora_rank : null,
    },
    losses: {
      balance: { coefficient: json.aux_loss_coef, counts: "argmax" },
      z: { coefficient: json.z_loss_coef },
    },
    optimizer: {
      kind: json.optimizer,
      muon: { weightDecay: json.muon_weight_decay, slices: "split" },
      adamw: { lrRatio: json.adamw_lr_ratio, weightDecay: json.adamw_weight_decay },
      clipNorm: json.grad_clip,
    },
    train: {
      steps: json.n_steps,
      batch: json.batch_size,
      accumulation: json.grad_accum,
      seqLen: config.seq_len,
      lr: json.lr_peak,
      warmupSteps: json.warmup_steps,
      finalFraction: json.lr_min / json.lr_peak,
      tiedLrDivisor: json.tied_lr_mode,
      divisorScope: "loop-group",
    },
  });
  const places = new Map<string, readonly Place[]>();
  for (const published of tensors.names("init/")) {
    places.set(published, place(published, tensors.shape(`init/${published}`), made, loops));
  }
  return { plan: made, places };
}

/** Names of what stands outside of the blocks. */
const OUTER: Record<string, "embedding" | "finalNorm" | "head"> = {
  "tok_emb": "embedding",
  "norm_out": "finalNorm",
  "lm_head": "head",
};

/** A bank's part by the name that a block has for it, and the number of its use in names of lists. */
const BLOCK: [RegExp, (site: Plan["sites"][number]) => string][] = [
  [/^norm1(s\.\d+)?\.weight$/, (site) => `${site.attentionNorm}.weight`],
  [/^norm2(s\.\d+)?\.weight$/, (site) => `${site.ffnNorm}.weight`],
  [/^attns?(\.\d+)?\.(w[qkvo]|[qk]_norm)\.weight$/, (site) => site.attention],
  [/^moe\.routers?(\.\d+)?\.weight$/, (site) => `${site.router}.weight`],
];

function place(published: string, shape: readonly number[], { model, sites, banks }: Plan, loops: Loops): Place[] {
  const count = shape.reduce((a, b) => a * b, 1);
  const outer = OUTER[published.replace(".weight", "")];
  if (outer) return [{ name: `${model[outer]}.weight`, start: 0, count }];
  const [, group, block, rest] = /^groups\.(\d+)\.(\d+)\.(.+)$/.exec(published) ?? [];
  const [layers, times] = loops[Number(group)] ?? [0, 0];
  const start = loops.slice(0, Number(group)).reduce((total, [layers, times]) => total + layers * times, 0);
  const siteOf = (loop: number) => sites[start + loop * layers + Number(block)]!;
  if (!rest || layers === 0) throw new RangeError(`Cannot place the parameter "${published}"`);

  const expert = /^moe\.w([123])s\.(\d+)$/.exec(rest);
  if (expert) {
    const size = count;
    const [matrix, index] = [expert[1], Number(expert[2])];
    const { experts } = siteOf(0);
    if (matrix === "2") return [{ name: `${experts}.down`, start: index * size, count }];
    return [{ name: `${experts}.gate_up`, start: (2 * index + (matrix === "1" ? 0 : 1)) * size, count }];
  }
  const adapter = /^attn\.qk_lora\.([AB])$/.exec(rest);
  if (adapter) {
    return Array.from({ length: times }, (_, loop) => siteOf(loop).adapter!).flatMap((id) => {
      const bank = banks.find((bank) => bank.id === id);
      if (bank?.kind !== "adapter") throw new RangeError(`Cannot place "${published}": its site has no adapter`);
      const { D, H, Hkv, P, R } = bank.shape;
      return adapter[1] === "A" ? [{ name: `${id}.a`, start: 0, count: R * D }] : [
        { name: `${id}.b_q`, start: 0, count: H * P * R },
        { name: `${id}.b_k`, start: 0, count: Hkv * P * R },
      ];
    });
  }
  for (const [pattern, bank] of BLOCK) {
    const match = pattern.exec(rest);
    if (!match) continue;
    const loop = Number((match[1] ?? "").replace(/\D/g, ""));
    const own = match[2] ? `.${match[2]}` : "";
    return [{ name: `${bank(siteOf(loop))}${own}`, start: 0, count }];
  }
  throw new RangeError(`Cannot place the parameter "${published}"`);
}
