/**
 * What a Hugging Face `config.json` means: the manifest of the same model, or an error that names what this program does
 * not have. Spellings of transformers 4 and 5 are read. The file is untrusted: nothing in it is taken for granted.
 */
import { readCompact } from "./compact.ts";
import { Config, MOST_EXPERTS, MOST_SITES, unsupported } from "./config_keys.ts";
import { ManifestError, unusable } from "./errors.ts";
import type { Family, ManifestInput } from "./manifest.ts";

/** A model of another program: its family by its name there, and what it is here. */
export interface ForeignModel {
  /** `model_type` */
  type: ForeignType;
  /** The architecture. */
  model: ManifestInput["model"];
  /** What its sites share; only the compact form says it. */
  tie?: ManifestInput["tie"];
  /** Id of the token that ends a text, or null. */
  endToken: number | null;
}

/** Families that can be read, by their `model_type`. */
export type ForeignType = "olmoe" | "qwen3_moe" | "mixtral" | "bowline";

/** Families that are known and cannot be read yet, and what they need. */
const LACKING: Readonly<Record<string, string>> = {
  qwen2_moe: "shared experts and biases of q, k and v",
  deepseek_v2: "latent attention and shared experts",
  deepseek_v3: "latent attention, shared experts and sigmoid routing",
};

/** Options that must have one of these values where they are given: all others are computations that are missing here. */
const ONLY: Readonly<Record<string, readonly unknown[]>> = {
  hidden_act: ["silu"],
  attention_bias: [false, null],
  mlp_bias: [false, null],
  qkv_bias: [false, null],
  attention_dropout: [0, null],
  router_jitter_noise: [0, null],
  partial_rotary_factor: [1, null],
  use_sliding_window: [false, null],
  n_shared_experts: [0, null],
  shared_expert_intermediate_size: [0, null],
  quantization_config: [null],
};

/**
 * Reads a parsed `config.json`.
 *
 * @throws {ManifestError} if the family, an option or a value cannot be used; it names the key.
 */
export function readConfig(json: unknown): ForeignModel {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw unusable("config.json", json, "an object");
  }
  const config = new Config(json as Record<string, unknown>);
  const type = familyOf(config.get("model_type"));
  for (const [key, values] of Object.entries(ONLY)) {
    const value = config.get(key);
    if (value !== undefined && !values.includes(value)) throw unsupported(key, value, values[0]);
  }
  checkWindows(config);
  const common = readCommon(config);
  const { tie, ...part } = READ[type](config, common.layers);
  return { type, model: { ...common, ...part }, ...(tie && { tie }), endToken: readEndToken(config) };
}

function familyOf(type: unknown): ForeignType {
  if (typeof type === "string" && Object.hasOwn(READ, type)) return type as ForeignType;
  const lacks = typeof type === "string" && Object.hasOwn(LACKING, type) ? LACKING[type] : undefined;
  if (lacks) {
    throw new ManifestError(`Cannot import model_type ${type}: it needs ${lacks}, which Bowline does not have yet`);
  }
  throw unusable("model_type", type, `one of ${Object.keys(READ).join(", ")}`);
}

function readCommon(config: Config) {
  const [width, heads] = [config.size("hidden_size"), config.size("num_attention_heads")];
  const kvHeads = config.optionalSize("num_key_value_heads") ?? heads;
  const headDim = config.optionalSize("head_dim");
  if (headDim === null && width % heads !== 0) {
    throw unusable("num_attention_heads", heads, `a divisor of hidden_size (${width}), or head_dim given`);
  }
  if (heads % kvHeads !== 0) {
    throw unusable("num_key_value_heads", kvHeads, `a divisor of num_attention_heads (${heads})`);
  }
  return {
    vocab: config.size("vocab_size"),
    width,
    layers: config.size("num_hidden_layers", MOST_SITES),
    heads,
    kvHeads,
    headDim: headDim ?? width / heads,
    topK: config.size("num_experts_per_tok", MOST_EXPERTS),
    eps: config.positive("rms_norm_eps"),
    ropeTheta: readRope(config),
    maxSeqLen: config.size("max_position_embeddings"),
    tiedHead: config.flag("tie_word_embeddings"),
  };
}

/** What the families differ in. */
const READ: Record<ForeignType, (config: Config, layers: number) => FamilyPart> = {
  olmoe: (config) => ({
    family: "olmoe",
    experts: readExperts(config),
    expertWidth: config.size("intermediate_size"),
    clamp: config.optionalPositive("clip_qkv"),
    router: routing(config.flag("norm_topk_prob")),
  }),
  qwen3_moe: (config, layers) => ({
    family: "qwen3",
    experts: readExperts(config),
    expertWidth: config.size("moe_intermediate_size"),
    router: routing(config.flag("norm_topk_prob")),
    ...readDense(config, layers),
  }),
  mixtral: (config) => ({
    family: "mixtral",
    experts: readExperts(config),
    expertWidth: config.size("intermediate_size"),
    router: routing(true),
  }),
  bowline: readCompact,
};

/** What a family adds to what all have. */
type FamilyPart =
  & { family: Family; experts: number; expertWidth: number; tie?: ManifestInput["tie"] }
  & Partial<ManifestInput["model"]>;

function readExperts(config: Config): number {
  return config.size(["num_experts", "num_local_experts"], MOST_EXPERTS);
}

/** All three take the softmax over all experts first. */
function routing(renormalize: boolean) {
  return { score: "softmax-then-top-k" as const, renormalize };
}

/** The sites of a Qwen3 model that have no experts: those listed, and those between the steps. */
function readDense(config: Config, layers: number): Pick<ManifestInput["model"], "denseLayers" | "denseWidth"> {
  const listed = config.get("mlp_only_layers") ?? [];
  if (!Array.isArray(listed) || !listed.every((site) => Number.isSafeInteger(site) && site >= 0)) {
    throw unusable("mlp_only_layers", listed, "a list of layer numbers");
  }
  const step = config.optionalSize("decoder_sparse_step") ?? 1;
  const sites = Array.from({ length: layers }, (_, site) => site);
  const denseLayers = sites.filter((site) => listed.includes(site) || (site + 1) % step !== 0);
  return { denseLayers, denseWidth: denseLayers.length > 0 ? config.size("intermediate_size") : null };
}

/** The base of the rotary angles: `rope_parameters` of version 5, or `rope_theta` beside `rope_scaling` of version 4. */
function readRope(config: Config): number {
  for (const key of ["rope_parameters", "rope_scaling"]) {
    const rope = config.object(key);
    for (const name of ["rope_type", "type"]) {
      const type = rope.get(name) ?? "default";
      if (type !== "default") throw unsupported(`${key}.${name}`, type, "default");
    }
    const part = rope.get("partial_rotary_factor") ?? 1;
    if (part !== 1) throw unsupported(`${key}.partial_rotary_factor`, part, 1);
    if (rope.get("rope_theta") !== undefined) return rope.positive("rope_theta");
  }
  return config.positive("rope_theta");
}

/** Attention here sees all that was before. */
function checkWindows(config: Config): void {
  // Qwen's files give a window that is switched off beside it.
  const window = config.get("sliding_window") ?? null;
  if (window !== null && config.get("use_sliding_window") !== false) throw unsupported("sliding_window", window, null);
  const types = config.get("layer_types") ?? [];
  if (!Array.isArray(types)) throw unusable("layer_types", types, "a list");
  const other = types.find((type) => type !== "full_attention");
  if (other !== undefined) throw unsupported("layer_types", other, "full_attention");
}

function readEndToken(config: Config): number | null {
  const value = config.get("eos_token_id") ?? null;
  const first = Array.isArray(value) ? value[0] ?? null : value;
  if (first !== null && !(Number.isSafeInteger(first) && first >= 0)) {
    throw unusable("eos_token_id", value, "a token id, a list of them, or null");
  }
  return first as number | null;
}
