/** Golden cases of the main experiments: OLMoE, Qwen3-MoE and DeepSeek-style models with tied experts. */
import { type Plan, plan } from "../../experiments/mod.ts";
import type { Place } from "./golden.ts";
import type { Tensors } from "./safetensors.ts";

const FAMILIES: Record<string, "olmoe" | "qwen3" | "deepseek-style"> = {
  olmoe: "olmoe",
  qwen3moe: "qwen3",
  deepseek: "deepseek-style",
};

/** Published parts of a layer, by what our banks of that site call them. */
const PARTS: Record<string, ["attentionNorm" | "attention" | "ffnNorm" | "router" | "experts", string]> = {
  "input_layernorm.weight": ["attentionNorm", "weight"],
  "post_attention_layernorm.weight": ["ffnNorm", "weight"],
  "self_attn.q_proj.weight": ["attention", "wq"],
  "self_attn.k_proj.weight": ["attention", "wk"],
  "self_attn.v_proj.weight": ["attention", "wv"],
  "self_attn.o_proj.weight": ["attention", "wo"],
  "self_attn.q_norm.weight": ["attention", "q_norm"],
  "self_attn.k_norm.weight": ["attention", "k_norm"],
  "mlp.gate.weight": ["router", "weight"],
  "mlp.experts.gate_up_proj": ["experts", "gate_up"],
  "mlp.experts.down_proj": ["experts", "down"],
};

/** The plan of a case and where its parameters lie. */
// deno-lint-ignore no-explicit-any -- a foreign program's JSON
export function readArch(json: any, tensors: Tensors): { plan: Plan; places: ReadonlyMap<string, readonly Place[]> } {
  const { config } = json;
  const family = FAMILIES[json.arch];
  if (!family) throw new RangeError(`Cannot read a case of the architecture "${json.arch}"`);
  const made = plan({
    name: "parity",
    model: {
      family,
      vocab: config.vocab_size,
      width: config.hidden_size,
      layers: config.num_hidden_layers,
      heads: config.num_attention_heads,
      kvHeads: config.num_key_value_heads,
      headDim: config.head_dim ?? config.hidden_size / config.num_attention_heads,
      experts: tensors.shape("init/model.layers.0.mlp.gate.weight")[0]!,
      topK: config.num_experts_per_tok,
      expertWidth: config.moe_intermediate_size ?? config.intermediate_size,
      clamp: config.clip_qkv ?? null,
      router: { score: "softmax-then-top-k", renormalize: config.norm_topk_prob },
      eps: config.rms_norm_eps,
      ropeTheta: config.rope_parameters.rope_theta,
      // The public OLMoE class pads with token 1 unless told otherwise, and that row of its embedding gets no gradient.
      paddingToken: family === "qwen3" ? null : config.pad_token_id ?? 1,
    },
    tie: {
      groupSize: json.tie_group_size,
      skipFirst: json.tie_skip_first,
      skipLast: json.tie_skip_last,
      expand: json.expand_tied_experts ?? null,
    },
    losses: {
      balance: { coefficient: json.router_aux_loss_coef },
      z: { coefficient: json.z_loss_coef },
      maskLastTarget: true,
    },
    optimizer: {
      kind: json.optimizer,
      muon: { weightDecay: json.muon_weight_decay },
      adamw: { lrRatio: json.adamw_lr_ratio, weightDecay: json.adamw_weight_decay },
      clipNorm: json.grad_clip,
    },
    train: {
      steps: json.n_steps,
      batch: json.batch_size,
      accumulation: json.grad_accum,
      seqLen: json.seq_len,
      lr: json.lr_peak,
      warmupSteps: json.warmup_steps,
      finalFraction: json.lr_min / json.lr_peak,
      tiedLrDivisor: json.tied_lr_divisor ?? "none",
    },
  });
  const places = new Map<string, readonly Place[]>();
  for (const published of tensors.names("init/")) {
    const count = tensors.shape(`init/${published}`).reduce((a, b) => a * b, 1);
    places.set(published, [{ name: ours(published, made), start: 0, count }]);
  }
  return { plan: made, places };
}

function ours(published: string, { model, sites }: Plan): string {
  switch (published) {
    case "model.embed_tokens.weight":
      return `${model.embedding}.weight`;
    case "lm_head.weight":
      return `${model.head}.weight`;
    case "model.norm.weight":
      return `${model.finalNorm}.weight`;
  }
  const [, layer, part] = /^model\.layers\.(\d+)\.(.+)$/.exec(published) ?? [];
  const [bank, own] = PARTS[part ?? ""] ?? [];
  const site = sites[Number(layer)];
  if (!bank || !site) throw new RangeError(`Cannot place the parameter "${published}"`);
  return `${site[bank]}.${own}`;
}
