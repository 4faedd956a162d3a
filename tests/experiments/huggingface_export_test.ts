/** The config.json of a plan: what it says, what it means to its own reader, and what is refused. */
import assert from "node:assert/strict";
import { ManifestError, type ManifestInput, plan } from "../../experiments/mod.ts";
import { readConfig } from "../../experiments/huggingface.ts";
import { exportConfig } from "../../experiments/huggingface_export.ts";

const olmoe: ManifestInput = {
  name: "small",
  model: { family: "olmoe", vocab: 300, width: 32, layers: 4, heads: 2, experts: 8, topK: 2, expertWidth: 16 },
  tie: { groupSize: 2, skipFirst: 1, skipLast: 1 },
  train: { steps: 1, batch: 1, seqLen: 8 },
};

/** A manifest with other model keys. */
const having = (model: Partial<ManifestInput["model"]>, tie = olmoe.tie): ManifestInput => ({
  ...olmoe,
  model: { ...olmoe.model, ...model },
  ...(tie && { tie }),
});

/** Checks that something is refused as a user's mistake, in these words. */
function refuses(run: () => unknown, says: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof ManifestError, `${error}`);
    assert.match(error.message, /^Cannot /);
    assert.match(error.message, says);
    return true;
  });
}

const expanded = (input: ManifestInput) => exportConfig(plan(input), "hf");
const compact = (input: ManifestInput) => exportConfig(plan(input), "hf-compact").config;

const common = {
  vocab_size: 300,
  hidden_size: 32,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  num_experts_per_tok: 2,
  hidden_act: "silu",
  attention_bias: false,
  attention_dropout: 0,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  rope_parameters: { rope_type: "default", rope_theta: 10000 },
  max_position_embeddings: 4096,
  tie_word_embeddings: false,
  pad_token_id: null,
  output_router_logits: false,
  use_cache: true,
};

Deno.test("exportConfig() says each family in its own words", () => {
  assert.deepEqual(expanded(having({ paddingToken: 1 })), {
    family: "olmoe",
    config: {
      ...common,
      architectures: ["OlmoeForCausalLM"],
      model_type: "olmoe",
      intermediate_size: 16,
      num_experts: 8,
      norm_topk_prob: false,
      clip_qkv: 8,
      pad_token_id: 1,
    },
  });
  const dense = { denseLayers: [2], denseWidth: 40 };
  assert.deepEqual(expanded(having({ family: "qwen3", kvHeads: 1, headDim: 12, tiedHead: true, ...dense })), {
    family: "qwen3_moe",
    config: {
      ...common,
      architectures: ["Qwen3MoeForCausalLM"],
      model_type: "qwen3_moe",
      rms_norm_eps: 1e-6,
      num_key_value_heads: 1,
      head_dim: 12,
      moe_intermediate_size: 16,
      intermediate_size: 40,
      num_experts: 8,
      norm_topk_prob: true,
      mlp_only_layers: [2],
      decoder_sparse_step: 1,
      use_sliding_window: false,
      sliding_window: null,
      tie_word_embeddings: true,
    },
  });
  assert.deepEqual(expanded(having({ family: "mixtral", ropeTheta: 1e6, maxSeqLen: 64 })), {
    family: "mixtral",
    config: {
      ...common,
      architectures: ["MixtralForCausalLM"],
      model_type: "mixtral",
      head_dim: 16,
      intermediate_size: 16,
      num_local_experts: 8,
      sliding_window: null,
      rope_theta: 1e6,
      rope_parameters: { rope_type: "default", rope_theta: 1e6 },
      max_position_embeddings: 64,
    },
  });
});

Deno.test("a softmax over the chosen is one over all that is normalized", () => {
  const router = (score: "softmax-then-top-k" | "top-k-then-softmax", renormalize: boolean) =>
    expanded(having({ router: { score, renormalize } })).config["norm_topk_prob"];
  assert.deepEqual([router("top-k-then-softmax", false), router("softmax-then-top-k", true)], [true, true]);
  assert.equal(router("softmax-then-top-k", false), false);
  const none = having({ qkNorm: "none", clamp: null, router: { score: "top-k-then-softmax", renormalize: false } });
  assert.equal(expanded(none).family, "mixtral");
});

Deno.test("what is read of an exported config is the model that was exported", () => {
  for (
    const input of [
      olmoe,
      having({ clamp: null, kvHeads: 1, tiedHead: true, router: { score: "softmax-then-top-k", renormalize: true } }),
      having({ family: "qwen3", headDim: 12, denseLayers: [0, 3], denseWidth: 40, ropeTheta: 5e5 }),
      having({ family: "mixtral", heads: 4, kvHeads: 2, headDim: 10 }),
    ]
  ) {
    const { family, config } = expanded(input);
    const { type, model } = readConfig(config);
    assert.equal(type, family);
    const untied = { groupSize: 1, skipFirst: 0, skipLast: 0 };
    const [got, want] = [{ ...input, model, tie: untied }, { ...input, tie: untied }].map(plan);
    assert.deepEqual(got, want);
  }
});

Deno.test("the compact config says the sharing and is read back as it", () => {
  const { expert_tying, site_experts, ...config } = compact(having({}, { ...olmoe.tie, expand: 16 }));
  assert.deepEqual(expert_tying, { experts: [0, 1, 1, 2] });
  assert.deepEqual(site_experts, [8, 16, 16, 8]);
  assert.deepEqual([config["router_score"], config["norm_topk_prob"]], ["softmax-then-top-k", false]);
  assert.equal(config["intermediate_size"], null);
  assert.equal("rope_parameters" in config, false);

  const loops: ManifestInput["tie"] = { loops: [[1, 1], [1, 2], [1, 1]], share: ["attention", "experts", "router"] };
  const strided = { experts: [[0, 2], [1, 3]], attention: [[0, 3], [1], [2]] };
  for (
    const input of [
      olmoe,
      having({ denseLayers: [0, 1], denseWidth: 24, family: "qwen3", tiedHead: true, paddingToken: 7 }),
      having({}, { ...olmoe.tie, expand: 16 }),
      having({}, { groupSize: 1, skipFirst: 0, skipLast: 1, expand: 4 }),
      having({ family: "vanilla" }, loops),
      having({ family: "deepseek-style", layers: 6 }, { groupSize: 2, expand: 16, skipFirst: 2, skipLast: 0 }),
      having({}, { groupSize: 1, skipFirst: 0, skipLast: 0, partitions: strided }),
    ]
  ) {
    const wanted = plan(input);
    const { type, model, tie } = readConfig(compact(input));
    assert.equal(type, "bowline");
    const got = plan({ ...input, model, tie: { groupSize: 1, skipFirst: 0, skipLast: 0, ...tie } });
    assert.deepEqual([got.model, got.sites], [wanted.model, wanted.sites]);
    // A learning rate is divided by what a manifest says of groups, which is not the model.
    const without = ({ banks }: typeof got) => banks.map((bank) => ({ ...bank, lrDivisor: 1 }));
    assert.deepEqual(without(got), without(wanted));
  }
});

Deno.test("exportConfig() refuses what no family computes, by name", () => {
  const cannot = (input: ManifestInput, says: RegExp) => refuses(() => expanded(input), says);
  cannot(
    having({}, { ...olmoe.tie, expand: 16 }),
    /as olmoe: its sites have 8 and 16 experts, wanted one number.*compact/,
  );
  cannot(having({ denseLayers: [1, 2], denseWidth: 8 }), /as olmoe: sites 1, 2 have a dense feed-forward/);
  cannot(having({ headDim: 12 }), /as olmoe: 2 heads of 12 are 24 wide, wanted the model's width \(32\)/);
  cannot(having({ family: "qwen3", clamp: 4 }), /as qwen3_moe: queries, keys and values are clamped to 4/);
  cannot(having({ family: "mixtral", clamp: 4 }), /as mixtral: queries, keys and values are clamped to 4/);
  cannot(
    having({ family: "mixtral", router: { score: "softmax-then-top-k", renormalize: false } }),
    /as mixtral: the weights of the chosen experts are not divided by their sum/,
  );
  cannot(
    having({ family: "mixtral", denseLayers: [0], denseWidth: 8 }),
    /as mixtral: sites 0 have a dense feed-forward/,
  );
  const adapters = having({ family: "vanilla" }, { groupSize: 2, share: ["attention"], adapterRank: 2 });
  for (const format of ["hf", "hf-compact"] as const) {
    refuses(
      () => exportConfig(plan({ ...adapters, tie: { ...adapters.tie, skipFirst: 0, skipLast: 0 } }), format),
      /low-rank/,
    );
    refuses(
      () => exportConfig(plan(having({ denseLayers: [0, 1, 2, 3], denseWidth: 8 })), format),
      /no site has experts/,
    );
  }
});

Deno.test("exportConfig() refuses a plan whose sites differ in what they have in common elsewhere", () => {
  for (
    const [kind, key, value, says] of [
      ["norm", "eps", 1e-3, /eps is both 0\.00001 and 0\.001/],
      ["attention", "eps", 1e-3, /eps is both 0\.00001 and 0\.001/],
      ["attention", "ropeTheta", 7, /ropeTheta is both 10000 and 7|ropeTheta is both 7 and 10000/],
      ["attention", "clamp", null, /clamp is both/],
      ["attention", "qkNorm", "head", /qkNorm is both/],
      ["router", "renormalize", true, /router\.renormalize is both/],
      ["router", "topK", 1, /topK is both/],
      ["router", "score", "top-k-then-softmax", /router\.score is both/],
    ] as const
  ) {
    const changed = structuredClone(plan(olmoe));
    const bank = changed.banks.findLast((bank) => bank.kind === kind && bank.id !== "final_norm")!;
    Object.assign(bank.options, { [key]: value });
    for (const format of ["hf", "hf-compact"] as const) refuses(() => exportConfig(changed, format), says);
  }
});

Deno.test("readConfig() refuses a compact config that no manifest says", () => {
  const config = compact(having({}, { ...olmoe.tie, expand: 16 }));
  const cannot = (change: Record<string, unknown>, says: RegExp) =>
    refuses(() => readConfig({ ...config, ...change }), says);
  cannot(
    { site_experts: [8, 16, 4, 8] },
    /site_experts: \[8,16,4,8\], wanted 8, and one other number for a run of sites/,
  );
  cannot({ site_experts: [8, 16] }, /site_experts: \[8,16\], wanted a list of a number for each of 4 layers/);
  cannot({ site_experts: [0, 0, 0, 0] }, /at least one site with experts/);
  cannot({ site_experts: [8, -1, 8, 8] }, /site_experts/);
  cannot({ expert_tying: { experts: [0, 1.5, 1, 2] } }, /experts: \[0,1\.5,1,2\], wanted a list/);
  cannot({ expert_tying: { heads: [0, 0, 0, 0] } }, /expert_tying\.heads: .*wanted one of attention_norm, attention/);
  cannot({ expert_tying: [] }, /expert_tying: \[\], wanted an object/);
  cannot({ qk_norm: "some" }, /qk_norm: "some", wanted one of whole, head, none/);
  cannot({ family: "gpt" }, /family: "gpt", wanted one of olmoe/);
});
