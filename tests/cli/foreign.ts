/** Checkpoints of other programs for tests: golden ones, in other forms. */
import { join } from "@std/path";

/** A tensor of a safetensors file, as it lies there. */
export interface RawTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The tensors of a file by name. */
export type RawTensors = Map<string, RawTensor>;

/** Reads a safetensors file. */
export async function readTensors(path: string): Promise<RawTensors> {
  const bytes = await Deno.readFile(path);
  const body = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const { __metadata__: _, ...header } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, body)));
  return new Map(
    Object.entries<{ dtype: string; shape: number[]; data_offsets: [number, number] }>(header).map((
      [name, { dtype, shape, data_offsets: [from, to] }],
    ) => [name, { dtype, shape, bytes: bytes.slice(body + from, body + to) }]),
  );
}

/** Writes a safetensors file. */
export async function writeTensors(path: string, tensors: RawTensors): Promise<void> {
  let at = 0;
  const entries = [...tensors].map(([name, { dtype, shape, bytes }]) => {
    const from = at;
    at += bytes.length;
    return [name, { dtype, shape, data_offsets: [from, at] }];
  });
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  await Deno.writeFile(path, concat([length, header, ...[...tensors.values()].map(({ bytes }) => bytes)]));
}

/** Writes a checkpoint as two files and an index. */
export async function writeShards(folder: string, tensors: RawTensors): Promise<void> {
  const all = [...tensors];
  const map: Record<string, string> = {};
  for (const [i, part] of [all.slice(0, all.length >> 1), all.slice(all.length >> 1)].entries()) {
    const file = `model-0000${i + 1}-of-00002.safetensors`;
    await writeTensors(join(folder, file), new Map(part));
    for (const [name] of part) map[name] = file;
  }
  const index = { metadata: { total_size: 0 }, weight_map: map };
  await Deno.writeTextFile(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
}

/** The same tensors with those of a layer's experts in one, under the names of transformers 5. */
export function fused(tensors: RawTensors): RawTensors {
  const out: RawTensors = new Map();
  const experts = new Map<string, Record<string, RawTensor>[]>();
  for (const [given, tensor] of tensors) {
    const name = given.replace(".block_sparse_moe.", ".mlp.");
    const [, prefix, number, part] = /^(.+\.experts)\.(\d+)\.(\w+)\.weight$/.exec(name) ?? [];
    if (prefix === undefined) {
      out.set(name, tensor);
      continue;
    }
    const layer = experts.get(prefix) ?? [];
    experts.set(prefix, layer);
    const role = { w1: "gate_proj", w3: "up_proj", w2: "down_proj" }[part!] ?? part!;
    layer[Number(number)] = { ...layer[Number(number)], [role]: tensor };
  }
  for (const [prefix, layer] of experts) {
    const { dtype, shape: [F, D] } = layer[0]!["gate_proj"]!;
    const bytes = (roles: string[]) => concat(layer.flatMap((expert) => roles.map((role) => expert[role]!.bytes)));
    const gateUp = bytes(["gate_proj", "up_proj"]);
    out.set(`${prefix}.gate_up_proj`, { dtype, shape: [layer.length, 2 * F!, D!], bytes: gateUp });
    out.set(`${prefix}.down_proj`, { dtype, shape: [layer.length, D!, F!], bytes: bytes(["down_proj"]) });
  }
  return out;
}

function concat(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A tokenizer.json in which the id n is the word `tn`, but for `end`, which no text can spell. */
export function numbered(vocab: number, end: number): string {
  const word = (id: number) => id === end ? endText(end) : `t${id}`;
  const ids = Object.fromEntries(Array.from({ length: vocab }, (_, id) => [word(id), id]));
  return JSON.stringify({
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "Whitespace" },
    post_processor: null,
    decoder: null,
    model: { type: "WordLevel", vocab: ids, unk_token: "t0" },
  });
}

/** The text of the token that ends a document. */
export function endText(id: number): string {
  return `<end ${id}>`;
}

/** The config.json of a small OLMoE, as transformers 4 writes it. */
export const config = {
  architectures: ["OlmoeForCausalLM"],
  model_type: "olmoe",
  vocab_size: 320,
  hidden_size: 16,
  intermediate_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  num_experts: 4,
  num_experts_per_tok: 2,
  norm_topk_prob: false,
  hidden_act: "silu",
  attention_bias: false,
  attention_dropout: 0.0,
  clip_qkv: null,
  rms_norm_eps: 1e-5,
  rope_theta: 10000.0,
  rope_scaling: null,
  max_position_embeddings: 64,
  tie_word_embeddings: false,
  torch_dtype: "float32",
  eos_token_id: 0,
};

/** The tensors of the model of {@linkcode config}, with numbers that are always the same. */
export function tensorsOfConfig(): RawTensors {
  let state = 1;
  const next = () => (state = (state * 48271) % 0x7fffffff) / 0x7fffffff - 0.5;
  const tensors: RawTensors = new Map();
  const add = (name: string, ...shape: number[]) => {
    const count = shape.reduce((product, axis) => product * axis, 1);
    const values = Float32Array.from({ length: count }, () => shape.length === 1 ? 1 + next() / 5 : next() / 2);
    tensors.set(name, { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) });
  };
  const { vocab_size: V, hidden_size: D, intermediate_size: F, num_experts: E } = config;
  add("model.embed_tokens.weight", V, D);
  add("model.norm.weight", D);
  add("lm_head.weight", V, D);
  for (const layer of [0, 1].map((i) => `model.layers.${i}`)) {
    add(`${layer}.input_layernorm.weight`, D);
    add(`${layer}.post_attention_layernorm.weight`, D);
    for (const part of ["q_proj", "k_proj", "v_proj", "o_proj"]) add(`${layer}.self_attn.${part}.weight`, D, D);
    for (const part of ["q_norm", "k_norm"]) add(`${layer}.self_attn.${part}.weight`, D);
    add(`${layer}.mlp.gate.weight`, E, D);
    for (let expert = 0; expert < E; expert++) {
      const at = `${layer}.mlp.experts.${expert}`;
      for (const part of ["gate_proj", "up_proj"]) add(`${at}.${part}.weight`, F, D);
      add(`${at}.down_proj.weight`, D, F);
    }
  }
  return tensors;
}
