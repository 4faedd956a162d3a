/**
 * The Hugging Face `config.json` of a plan: of the family of transformers that computes the same, or of the compact form.
 * What none of them computes is refused: a folder that loads and computes something else would be worse than none.
 */
import { tyingOf } from "./compact.ts";
import { ManifestError } from "./errors.ts";
import type { ForeignType } from "./huggingface.ts";
import { bankOf, siteBanks } from "./parts.ts";
import type { Plan } from "./plan.ts";

/** A family and its config.json, without the type of the numbers and the tokenizer's ids. */
export interface ExportedConfig {
  /** Whose names the tensors have. */
  family: ForeignType;
  /** The content of config.json. */
  config: Record<string, unknown>;
}

/** The numbers and options that all sites of a model have in common, and the experts of each. */
interface Facts {
  heads: number;
  kvHeads: number;
  headDim: number;
  qkNorm: "whole" | "head" | "none";
  clamp: number | null;
  ropeTheta: number;
  eps: number;
  topK: number;
  score: "softmax-then-top-k" | "top-k-then-softmax";
  renormalize: boolean;
  expertWidth: number;
  /** Null without dense sites. */
  denseWidth: number | null;
  denseSites: number[];
  /** Experts of each site, 0 where it is dense. */
  siteExperts: number[];
}

/**
 * The config.json of a plan, expanded (`hf`) or compact (`hf-compact`).
 *
 * @throws {ManifestError} that says what of the plan cannot be expressed.
 */
export function exportConfig(plan: Plan, format: "hf" | "hf-compact"): ExportedConfig {
  const facts = factsOf(plan);
  if (format === "hf-compact") return { family: "bowline", config: compactConfig(plan, facts) };
  const family = FAMILY_OF[facts.qkNorm];
  const [obstacle] = obstacles(family, plan, facts);
  if (obstacle !== undefined) {
    throw new ManifestError(
      `Cannot export ${plan.name} as ${family}: ${obstacle}; the compact form has it (hf-compact)`,
    );
  }
  return { family, config: { ...commonConfig(plan, facts), ...OWN[family](facts) } };
}

/** The norm of queries and keys alone tells the families apart. */
const FAMILY_OF = { whole: "olmoe", head: "qwen3_moe", none: "mixtral" } as const;

type Expanded = typeof FAMILY_OF[keyof typeof FAMILY_OF];

/** What of a model a family does not compute. */
function* obstacles(family: Expanded, plan: Plan, facts: Facts): Generator<string> {
  const { heads, headDim, clamp, denseSites, siteExperts } = facts;
  const counts = [...new Set(siteExperts.filter((count) => count > 0))];
  if (counts.length > 1) yield `its sites have ${counts.join(" and ")} experts, wanted one number for all`;
  if (family !== "qwen3_moe" && denseSites.length > 0) {
    yield `sites ${denseSites.join(", ")} have a dense feed-forward, wanted experts at all sites`;
  }
  if (family === "olmoe" && heads * headDim !== plan.model.width) {
    yield `${heads} heads of ${headDim} are ${heads * headDim} wide, wanted the model's width (${plan.model.width})`;
  }
  if (family !== "olmoe" && clamp !== null) yield `queries, keys and values are clamped to ${clamp}, wanted no clamp`;
  if (family === "mixtral" && !isNormalized(facts)) {
    yield "the weights of the chosen experts are not divided by their sum, wanted that they are";
  }
}

/** Whether combine weights sum to 1. A softmax over the chosen is that over all, divided by the sum of the chosen. */
function isNormalized({ score, renormalize }: Facts): boolean {
  return renormalize || score === "top-k-then-softmax";
}

/** What the families differ in. */
const OWN: Record<Expanded, (facts: Facts) => Record<string, unknown>> = {
  olmoe: (facts) => ({
    architectures: ["OlmoeForCausalLM"],
    model_type: "olmoe",
    intermediate_size: facts.expertWidth,
    num_experts: expertsOf(facts),
    norm_topk_prob: isNormalized(facts),
    clip_qkv: facts.clamp,
  }),
  qwen3_moe: (facts) => ({
    architectures: ["Qwen3MoeForCausalLM"],
    model_type: "qwen3_moe",
    head_dim: facts.headDim,
    moe_intermediate_size: facts.expertWidth,
    // Nothing has this width where no site is dense.
    intermediate_size: facts.denseWidth ?? facts.expertWidth,
    num_experts: expertsOf(facts),
    norm_topk_prob: isNormalized(facts),
    mlp_only_layers: facts.denseSites,
    decoder_sparse_step: 1,
    use_sliding_window: false,
    sliding_window: null,
  }),
  mixtral: (facts) => ({
    architectures: ["MixtralForCausalLM"],
    model_type: "mixtral",
    head_dim: facts.headDim,
    intermediate_size: facts.expertWidth,
    num_local_experts: expertsOf(facts),
    sliding_window: null,
  }),
};

/** The number of experts, which no obstacle says differs. */
function expertsOf({ siteExperts }: Facts): number {
  return Math.max(...siteExperts);
}

/** Keys of all forms. Those that an importer would default to something else are spelled out. */
function commonConfig({ model, sites }: Plan, facts: Facts): Record<string, unknown> {
  return {
    vocab_size: model.vocab,
    hidden_size: model.width,
    num_hidden_layers: sites.length,
    num_attention_heads: facts.heads,
    num_key_value_heads: facts.kvHeads,
    num_experts_per_tok: facts.topK,
    hidden_act: "silu",
    attention_bias: false,
    attention_dropout: 0,
    rms_norm_eps: facts.eps,
    // Version 4 reads the first, version 5 the second.
    rope_theta: facts.ropeTheta,
    rope_parameters: { rope_type: "default", rope_theta: facts.ropeTheta },
    max_position_embeddings: model.maxSeqLen,
    tie_word_embeddings: model.head === model.embedding,
    // The token whose embedding gets no gradient there, too.
    pad_token_id: model.paddingToken,
    output_router_logits: false,
    use_cache: true,
  };
}

function compactConfig(plan: Plan, facts: Facts): Record<string, unknown> {
  const { rope_parameters: _, output_router_logits: __, ...common } = commonConfig(plan, facts);
  return {
    ...common,
    architectures: ["BowlineForCausalLM"],
    auto_map: {
      AutoConfig: "configuration_bowline.BowlineConfig",
      AutoModelForCausalLM: "modeling_bowline.BowlineForCausalLM",
    },
    model_type: "bowline",
    family: plan.model.family,
    head_dim: facts.headDim,
    qk_norm: facts.qkNorm,
    clip_qkv: facts.clamp,
    site_experts: facts.siteExperts,
    moe_intermediate_size: facts.expertWidth,
    intermediate_size: facts.denseWidth,
    router_score: facts.score,
    norm_topk_prob: facts.renormalize,
    expert_tying: tyingOf(plan),
  };
}

/**
 * What all sites have in common.
 *
 * @throws {ManifestError} if they differ in something that they have in common in every form.
 */
function factsOf(plan: Plan): Facts {
  const cannot = (reason: string) => new ManifestError(`Cannot export ${plan.name}: ${reason}`);
  const agreed = <T>(what: string, values: readonly T[]): T => {
    const other = values.find((value) => value !== values[0]);
    if (other !== undefined) throw cannot(`${what} is both ${values[0]} and ${other}, wanted one value for all sites`);
    return values[0]!;
  };
  const sites = siteBanks(plan);
  const adapter = sites.find((site) => site.adapter !== null)?.adapter;
  if (adapter) throw cannot(`it has low-rank adapters (${adapter.id}), which no model of transformers has`);
  const attention = sites.map((site) => site.attention);
  const routed = sites.flatMap((site) => site.moe === null ? [] : [site.moe]);
  if (routed.length === 0) throw cannot("no site has experts, wanted at least one that has");
  const dense = sites.flatMap((site) => site.dense === null ? [] : [site.dense]);
  const qkNorm = agreed("qkNorm", attention.map((bank) => bank.options.qkNorm));
  const norms = [
    bankOf(plan, plan.model.finalNorm, "norm"),
    ...sites.flatMap((site) => [site.attentionNorm, site.ffnNorm]),
  ];
  // Without norms of queries and keys, attention has no use for an eps.
  const epsilons = [...norms, ...(qkNorm === "none" ? [] : attention)].map((bank) => bank.options.eps);
  const routers = routed.map(({ router }) => router.options);
  return {
    heads: agreed("heads", attention.map((bank) => bank.shape.H)),
    kvHeads: agreed("kvHeads", attention.map((bank) => bank.shape.Hkv)),
    headDim: agreed("headDim", attention.map((bank) => bank.shape.P)),
    qkNorm,
    clamp: agreed("clamp", attention.map((bank) => bank.options.clamp)),
    ropeTheta: agreed("ropeTheta", attention.map((bank) => bank.options.ropeTheta)),
    eps: agreed("eps", epsilons),
    topK: agreed("topK", routers.map((options) => options.topK)),
    score: agreed("router.score", routers.map((options) => options.score)),
    renormalize: agreed("router.renormalize", routers.map((options) => options.renormalize)),
    expertWidth: agreed("expertWidth", routed.map(({ experts }) => experts.shape.F)),
    denseWidth: dense.length === 0 ? null : agreed("denseWidth", dense.map((bank) => bank.shape.F)),
    denseSites: sites.flatMap((site, n) => site.dense === null ? [] : [n]),
    siteExperts: sites.map((site) => site.moe?.experts.shape.E ?? 0),
  };
}
