/** What a config.json of Hugging Face transformers means, and what is refused of one. */
import assert from "node:assert/strict";
import { ManifestError, plan } from "../../experiments/mod.ts";
import { type ForeignModel, readConfig } from "../../experiments/huggingface.ts";
import { config } from "../cli/foreign.ts";
import { refuses } from "./support.ts";

type Json = Record<string, unknown>;

const qwen: Json = {
  ...config,
  model_type: "qwen3_moe",
  head_dim: 16,
  num_key_value_heads: 1,
  moe_intermediate_size: 8,
  intermediate_size: 24,
  norm_topk_prob: true,
  mlp_only_layers: [1],
  decoder_sparse_step: 1,
  rms_norm_eps: 1e-6,
  eos_token_id: [7, 8],
  use_sliding_window: false,
  sliding_window: 4096, // as published files have it, switched off
};
const { num_experts: _, clip_qkv: __, ...rest } = config;
const mixtral: Json = { ...rest, model_type: "mixtral", num_local_experts: 4, sliding_window: null, head_dim: null };

/** The manifest's complete model section. */
const model = ({ model, tie }: ForeignModel) =>
  plan({ name: "read", model, train: { steps: 1, batch: 1, seqLen: 8 }, tie: { skipFirst: 0, skipLast: 0, ...tie } });

const compact: Json = {
  ...mixtral,
  ...{ model_type: "bowline", family: "vanilla", num_hidden_layers: 4, moe_intermediate_size: 8, head_dim: 8 },
  ...{ qk_norm: "head", router_score: "top-k-then-softmax", norm_topk_prob: false, pad_token_id: null },
  ...{ site_experts: [4, 6, 6, 0], expert_tying: { experts: [0, 1, 1, null], attention: [0, 1, 1, 0] } },
};

Deno.test("readConfig() reads the families", () => {
  const olmoe = readConfig({ ...config, clip_qkv: 5 });
  assert.deepEqual([olmoe.type, olmoe.endToken], ["olmoe", 0]);
  assert.deepEqual(olmoe.model, {
    family: "olmoe",
    vocab: 320,
    width: 16,
    layers: 2,
    heads: 2,
    kvHeads: 2,
    headDim: 8,
    experts: 4,
    topK: 2,
    expertWidth: 8,
    clamp: 5,
    router: { score: "softmax-then-top-k", renormalize: false },
    eps: 1e-5,
    ropeTheta: 10000,
    maxSeqLen: 64,
    tiedHead: false,
  });
  assert.equal(readConfig(config).model.clamp, null, "no clamp, where the family's default here is one");
  const { type, model: read, endToken } = readConfig(qwen);
  assert.deepEqual([type, endToken, read.family], ["qwen3_moe", 7, "qwen3"]);
  assert.deepEqual(
    [read.headDim, read.kvHeads, read.expertWidth, read.router?.renormalize, read.denseLayers, read.denseWidth],
    [16, 1, 8, true, [1], 24],
  );
  const banks = model(readConfig(mixtral)).banks;
  assert.deepEqual(
    banks.filter(({ kind }) => kind === "attention" || kind === "router").slice(0, 4).map(({ options }) => options),
    [
      ...Array(2).fill({ qkNorm: "none", clamp: null, ropeTheta: 10000, eps: 1e-5 }),
      ...Array(2).fill({ topK: 2, score: "softmax-then-top-k", renormalize: true }),
    ],
  );
});

Deno.test("readConfig() reads both versions' spellings as one", () => {
  const { rope_theta, rope_scaling: _, torch_dtype: __, num_experts, ...same } = config;
  const v5 = {
    ...same,
    num_local_experts: num_experts,
    head_dim: null,
    dtype: "float32",
    rope_parameters: { rope_type: "default", rope_theta },
  };
  assert.deepEqual(readConfig(v5), readConfig(config));
  const typed = { ...config, rope_scaling: { type: "default" }, num_local_experts: 4 };
  assert.deepEqual(readConfig(typed), readConfig(config));
});

Deno.test("readConfig() takes as dense the layers that are listed or fall between the sparse steps", () => {
  const dense = (changes: Json) => readConfig({ ...qwen, num_hidden_layers: 6, ...changes }).model.denseLayers;
  assert.deepEqual(dense({ mlp_only_layers: [], decoder_sparse_step: 2 }), [0, 2, 4]);
  assert.deepEqual(dense({ mlp_only_layers: [1], decoder_sparse_step: 2 }), [0, 1, 2, 4]);
  assert.deepEqual(dense({ mlp_only_layers: null, decoder_sparse_step: null }), []);
  assert.equal(readConfig({ ...qwen, mlp_only_layers: [] }).model.denseWidth, null);
});

const FAULTS: [what: string, base: Json, changes: Json, path: string, wanted: string][] = [
  ["an unknown family", config, { model_type: "llama" }, "model_type", "one of olmoe, qwen3_moe, mixtral"],
  ["no family", config, { model_type: undefined }, "model_type: missing", "one of"],
  ["a name of every object", config, { model_type: "constructor" }, "model_type", "one of"],
  ["another activation", config, { hidden_act: "gelu" }, "hidden_act", '"silu"'],
  ["biases", config, { attention_bias: true }, "attention_bias", "false"],
  ["dropout", config, { attention_dropout: 0.1 }, "attention_dropout: 0.1", "0"],
  ["quantised weights", config, { quantization_config: { bits: 4 } }, "quantization_config", "null"],
  ["shared experts", config, { n_shared_experts: 1 }, "n_shared_experts: 1", "0"],
  ["yarn", config, { rope_scaling: { type: "yarn", factor: 4 } }, "rope_scaling.type", '"default"'],
  ["linear scaling", config, { rope_parameters: { rope_type: "linear" } }, "rope_parameters.rope_type", '"default"'],
  ["rotary parts", config, { partial_rotary_factor: 0.5 }, "partial_rotary_factor", "1"],
  ["a window", mixtral, { sliding_window: 4096 }, "sliding_window: 4096", "null"],
  ["a window in use", qwen, { use_sliding_window: true }, "use_sliding_window", "false"],
  [
    "layers with windows",
    qwen,
    { layer_types: ["full_attention", "sliding_attention"] },
    "layer_types",
    '"full_attention"',
  ],
  ["no base of the angles", config, { rope_theta: undefined }, "rope_theta: missing", "a positive finite number"],
  ["a base of 0", config, { rope_parameters: { rope_theta: 0 } }, "rope_parameters.rope_theta: 0", "a positive"],
  ["no width", config, { hidden_size: null }, "hidden_size: null", "an integer from 1 to"],
  ["a width that is text", config, { hidden_size: "16" }, "hidden_size", "an integer from 1 to"],
  ["sizes beyond any model", config, { vocab_size: 2 ** 40 }, "vocab_size", "an integer from 1 to 16777216"],
  ["layers beyond any model", config, { num_hidden_layers: 1e6 }, "num_hidden_layers", "an integer from 1 to 4096"],
  ["experts in two numbers", config, { num_local_experts: 5 }, "num_local_experts: 5", "the same as num_experts (4)"],
  [
    "heads that do not divide",
    config,
    { num_attention_heads: 3, num_key_value_heads: 3 },
    "num_attention_heads: 3",
    "a divisor",
  ],
  [
    "heads not shared evenly",
    qwen,
    { num_attention_heads: 4, num_key_value_heads: 3 },
    "num_key_value_heads: 3",
    "a divisor",
  ],
  ["dense layers that are none", qwen, { mlp_only_layers: ["x"] }, "mlp_only_layers", "a list of layer numbers"],
  ["an end that is no id", config, { eos_token_id: "end" }, "eos_token_id", "a token id, a list of them, or null"],
  ["a flag that is none", config, { norm_topk_prob: 1 }, "norm_topk_prob: 1", "true or false"],
];

for (const [what, base, changes, path, wanted] of FAULTS) {
  Deno.test(`readConfig() refuses ${what}`, () => refuses(() => readConfig({ ...base, ...changes }), path, wanted));
}

for (const type of ["qwen2_moe", "deepseek_v2", "deepseek_v3"]) {
  Deno.test(`readConfig() says what ${type} needs`, () => {
    const says = new RegExp(`model_type ${type}: it needs .*(shared experts|latent attention).* does not have yet$`);
    assert.throws(() => readConfig({ ...config, model_type: type }), says);
  });
}

/** A generator of numbers that is always the same. */
function randoms(seed: number): (n: number) => number {
  let state = seed;
  return (n) => (state = (state * 48271) % 0x7fffffff) % n;
}

const VALUES: readonly unknown[] = [
  ...[null, true, false, 0, 1, -1, 0.5, 3, 1e9, 1e300, 2 ** 53, "", "silu", "default", "yarn", "\n", "__proto__"],
  ...[[], {}, [null], [1e9], [[]], { type: {} }, { rope_type: "default", rope_theta: "x" }, { length: 3 }],
];

Deno.test("readConfig() of any JSON gives a plan or an error of one line", () => {
  const next = randoms(7);
  const pick = <T>(list: readonly T[]): T => list[next(list.length)]!;
  const outcomes = { plans: 0, errors: 0 };
  for (let round = 0; round < 20_000; round++) {
    const changed: Json = structuredClone(pick([config, qwen, mixtral, compact]));
    const keys = [...Object.keys(changed), "rope_parameters", "layer_types", "sliding_window", "head_dim"];
    for (let change = next(4); change >= 0; change--) {
      const key = pick(keys);
      if (next(4) === 0) delete changed[key];
      else changed[key] = next(3) === 0 ? changed[pick(keys)] : pick(VALUES);
    }
    try {
      const p = model(readConfig(round % 100 === 0 ? pick(VALUES) : changed));
      assert.ok(p.sites.length >= 1 && p.sites.length <= 4096);
      outcomes.plans++;
    } catch (error) {
      assert.ok(error instanceof ManifestError, `${error} of ${JSON.stringify(changed)}`);
      assert.match(error.message, /^Cannot [^\n]+$/);
      outcomes.errors++;
    }
  }
  assert.ok(outcomes.plans > 1000 && outcomes.errors > 1000, JSON.stringify(outcomes));
});
