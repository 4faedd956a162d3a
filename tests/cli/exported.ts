/** Small models to export: one of each kind that differs in what it can become. */
import assert from "node:assert/strict";
import { micro, stepFolder, type Workspace } from "./program.ts";

const olmoe = {
  ...micro,
  // So small a clamp cuts often.
  model: { ...micro.model, layers: 6, kvHeads: 1, clamp: 0.5 },
  tie: { groupSize: 4, skipFirst: 1, skipLast: 1 },
};

/** Manifests by name, and the family that computes the same; null: none does. */
export const MODELS: Readonly<Record<string, { manifest: typeof micro; family: string | null }>> = {
  "olmoe": { manifest: olmoe, family: "olmoe" },
  "widened": { manifest: { ...olmoe, tie: { ...olmoe.tie, ...{ expand: 16 } } }, family: null },
  "qwen3": {
    manifest: {
      ...micro,
      model: {
        ...micro.model,
        ...{ family: "qwen3", layers: 6, heads: 4, kvHeads: 2, headDim: 12, tiedHead: true, paddingToken: 3 },
        ...{ denseLayers: [0, 3], denseWidth: 40 },
      },
      tie: { groupSize: 2, skipFirst: 0, skipLast: 0 },
    },
    family: "qwen3_moe",
  },
  "mixtral": {
    manifest: { ...micro, model: { ...micro.model, family: "mixtral", layers: 6 }, tie: olmoe.tie },
    family: "mixtral",
  },
  // The softmax of the chosen, all parts shared, each layer in a loop of its own.
  "vanilla": {
    manifest: {
      ...micro,
      model: { ...micro.model, family: "vanilla", layers: 6 },
      tie: {
        ...{ groupSize: 1, skipFirst: 0, skipLast: 0, loops: [[1, 1], [2, 2], [1, 1]] },
        ...{ share: ["attentionNorm", "attention", "ffnNorm", "router", "experts"] },
      },
    },
    family: "qwen3_moe",
  },
};

/** Steps that the models are trained. */
const STEPS = 3;

/** Trains a model into the folder of its name, and returns its checkpoint's folder. */
export async function trained(workspace: Workspace, name: string): Promise<string> {
  const manifest = { ...MODELS[name]!.manifest, name, data: { ...micro.data, files: [workspace.text] } };
  const path = await workspace.write(`${name}.json`, manifest);
  const { code, stderr } = await workspace.run("train", path, "--out", name, "--steps", `${STEPS}`);
  assert.equal(code, 0, stderr);
  return workspace.at(name, "checkpoints", stepFolder(STEPS));
}

/** Runs a command of the workspace that must succeed, and returns what it prints. */
export async function succeed(workspace: Workspace, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await workspace.run(...args);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  return stdout;
}
