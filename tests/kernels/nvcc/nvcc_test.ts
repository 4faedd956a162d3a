/**
 * Kernels as nvcc compiles them: for every target without a spill, with the instructions that they are meant to have;
 * and the library where there is no driver. Skipped where no toolchain is installed, except in CI, which installs it.
 */
import assert from "node:assert/strict";
import { basename } from "@std/path";
import { buildCuda, compileCuda, readPtx, TARGETS } from "../../../kernels/cuda.ts";
import { kernelSources } from "../../../kernels/objects.ts";
import { findToolchain, provideToolchain } from "../../../kernels/toolchain.ts";
import { Workspace } from "../../cli/program.ts";
import { breaches, commonBreaches, type Instruction, type Rule } from "./ptx.ts";

const loads = ["ld.global.nc.v4", "st.global.v4"];
const products = ["mma.sync.aligned.m16n8k16", "ldmatrix.sync.aligned.m8n8.x4.shared", "cp.async.cg.shared.global"];
const attention = [...products, "ldmatrix.sync.aligned.m8n8.x4.trans.shared"];
const wgmma = ["wgmma.mma_async", "cp.async.bulk.tensor.2d", "mbarrier.try_wait", "setmaxnreg.inc"];
const RULES: readonly Rule[] = [
  { file: "dispatch", kernel: /^permute_kernel<6float4>$/, count: 1, targets: TARGETS, has: loads },
  { file: "dispatch", kernel: /^combine_kernel<6float4>$/, count: 1, targets: TARGETS, has: loads },
  { file: "elementwise", kernel: /^add_kernel<6float4>$/, count: 1, targets: TARGETS, has: loads },
  { file: "elementwise", kernel: /^fill_kernel<6float4>$/, count: 1, targets: TARGETS, has: ["st.global.v4"] },
  { file: "embedding", kernel: /^forward_kernel<6float4>$/, count: 1, targets: TARGETS, has: loads },
  { file: "swiglu", kernel: /^forward_kernel<6float4>$/, count: 1, targets: TARGETS, has: loads },
  { file: "cast", kernel: /^round_rows_kernel$/, count: 1, targets: TARGETS, has: loads },
  { file: "cast", kernel: /^round_(columns|groups)_kernel$/, count: 2, targets: TARGETS, has: ["ld.global.nc.v4"] },
  // each way to write; for wgmma one of them with two widths
  { file: "mma", kernel: /^mma_kernel</, count: 3, targets: TARGETS, has: products },
  { file: "wgmma", kernel: /^wgmma_kernel</, count: 4, targets: ["90a"], has: wgmma },
  // each length of heads; two kernels of the backward pass
  { file: "attention_bf16_forward", kernel: /^forward_kernel</, count: 4, targets: TARGETS, has: attention },
  { file: "attention_bf16_backward", kernel: /^d_(q|kv)_kernel</, count: 8, targets: TARGETS, has: attention },
];
const INSTRUCTIONS: readonly Instruction[] = [
  { call: /\bgpu_cp_async16\(/, targets: TARGETS, has: "cp.async.cg.shared.global" },
  { call: /\bgpu_mma_bf16\(/, targets: TARGETS, has: "mma.sync.aligned.m16n8k16" },
  { call: /\bgpu_wgmma_m64n\w+\(/, targets: ["90a"], has: "wgmma.mma_async" },
  { call: /\bgpu_tma_load_2d\(/, targets: ["90a"], has: "cp.async.bulk.tensor.2d" },
];

const isCi = Deno.env.get("CI") === "true";
const toolchain = isCi ? await provideToolchain() : await findToolchain();
if (toolchain === null) console.log('skip tests with nvcc: it is not installed (run "deno task toolchain:cuda")');
const ignore = toolchain === null;

Deno.test("nvcc compiles every kernel for every target, without spills or local memory", { ignore }, async () => {
  const { uses } = await buildCuda(toolchain!);
  for (const target of TARGETS) {
    const names = uses.filter((use) => use.target === `sm_${target}`);
    const ptx = kernelSources().flatMap((source) => [...readPtx(source, target).keys()]);
    assert.equal(names.length, ptx.length, `kernels for sm_${target}`);
    assert.ok(names.length > 30 && names.every(({ registers }) => registers > 0 && registers <= 255));
  }
});

Deno.test("the PTX has the instructions that are meant, and no local memory", { ignore }, async () => {
  await buildCuda(toolchain!);
  const faults: string[] = [];
  for (const source of kernelSources()) {
    const file = basename(source, ".cu");
    const text = await Deno.readTextFile(source);
    for (const target of TARGETS) {
      const kernels = readPtx(source, target);
      faults.push(...commonBreaches(file, text, target, kernels, INSTRUCTIONS));
      const rules = RULES.filter((rule) => rule.file === file && rule.targets.includes(target));
      faults.push(...rules.flatMap((rule) => breaches(rule, target, kernels)));
    }
  }
  const files = kernelSources().map((source) => basename(source, ".cu"));
  faults.push(...RULES.filter(({ file }) => !files.includes(file)).map(({ file }) => `there is no ${file}.cu`));
  assert.deepEqual(faults, []);
});

for (const [name, kernel] of [["spill", "spill_kernel"], ["local_array", "local_array_kernel"]] as const) {
  Deno.test(`nvcc refuses a planted kernel: ${name.replace("_", " ")}`, { ignore }, async () => {
    const source = new URL(`${name}.cu`, import.meta.url).pathname;
    await assert.rejects(compileCuda(toolchain!, [source], ["80"]), (error: Error) => {
      assert.match(error.message, new RegExp(`^Cannot build the kernels: ${name}\\.cu .+\n${kernel} for sm_80: `));
      return true;
    });
  });
}

Deno.test("the library loads without a driver, and training on a GPU is refused for that", { ignore }, async () => {
  const { library } = await buildCuda(toolchain!);
  if (isLoadable("libcuda.so.1")) return console.log("skip the test without a driver: there is one");
  await using workspace = await Workspace.make();
  Deno.env.set("BOWLINE_KERNELS", library);
  try {
    const { code, stderr } = await workspace.run("train", workspace.manifest, "--device", "cuda", "--out", "run");
    assert.equal(code, 2, stderr);
    assert.match(
      stderr,
      /^error: Cannot use a CUDA driver: .*; wanted a driver for CUDA 13; the device cpu needs none of it\n$/,
    );
    await assert.rejects(Deno.stat(workspace.at("run")), Deno.errors.NotFound);
  } finally {
    Deno.env.delete("BOWLINE_KERNELS");
  }
});

function isLoadable(library: string): boolean {
  try {
    Deno.dlopen(library, {}).close();
    return true;
  } catch {
    return false;
  }
}

Deno.test("a rule fails for a kernel without the instruction, and for a name that no kernel has", () => {
  const rule: Rule = { file: "x", kernel: /^copy$/, count: 1, targets: ["80"], has: ["ld.global.nc.v4"] };
  assert.deepEqual(breaches(rule, "80", new Map([["copy", "ld.global.nc.v4.f32"]])), []);
  assert.deepEqual(breaches(rule, "80", new Map([["copy", "ld.global.f32"]])), [
    "x for sm_80: copy has no ld.global.nc.v4",
  ]);
  assert.deepEqual(breaches(rule, "80", new Map([["copies", ""]])), ["x for sm_80: 0 kernels /^copy$/, wanted 1"]);
});

Deno.test("local memory, and an instruction that is called but not there, are faults of any kernel", () => {
  const find = (source: string, ptx: string) => commonBreaches("x", source, "90a", new Map([["k", ptx]]), INSTRUCTIONS);
  assert.deepEqual(find("gpu_mma_bf16(a, b);", "mma.sync.aligned.m16n8k16.row.col"), []);
  assert.equal(find("gpu_mma_bf16(a, b);", "fma.rn.f32").length, 1);
  assert.equal(find("gpu_wgmma_m64n128k16(a, b);", "mma.sync.aligned.m16n8k16").length, 1);
  assert.deepEqual(find("", ".local .align 16 .b8 depot[64];"), ["x for sm_90a: k has .local"]);
});
