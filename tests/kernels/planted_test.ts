/**
 * One classic fault planted in each of six kernels: the tests of the op, under the checker, must find it where it
 * stands. A fault is one replacement of text in a copy of the sources; the same copies without it must be clean.
 */
import assert from "node:assert/strict";
import { join } from "@std/path";
import { buildLibrary, hasCompiler } from "../../kernels/build.ts";
import { testOps } from "./ops.ts";

const kernels = new URL("../../kernels", import.meta.url).pathname;

interface Fault {
  readonly name: string;
  /** The source that is compiled, and the file that the fault is in, if that is another. */
  readonly source: string;
  readonly file?: string;
  /** What is replaced: it stands once in the file. */
  readonly right: string;
  readonly wrong: string;
  /** The test that must fail. */
  readonly test: string;
  /** What it must print, and the end of the line that it must name, when the checker finds it. */
  readonly report: RegExp;
  readonly line?: string;
}

const FAULTS: readonly Fault[] = [
  {
    name: "an off-by-one store",
    source: "swiglu.cu",
    right: "i < f; i += 32) act[row * f + i] = ",
    wrong: "i <= f; i += 32) act[row * f + i] = ",
    test: "swiglu::swiglu",
    report: /race/,
    line: "act[row * f + i] = each(activate, __ldg(gate + i), __ldg(up + i));",
  },
  {
    name: "a missing barrier",
    source: "dispatch.cu",
    right: "    piece_ids[threadIdx.x] = id;\n    __syncthreads();\n",
    wrong: "    piece_ids[threadIdx.x] = id;\n",
    test: "dispatch::dispatch",
    report: /race|uninitialised/,
    line: "row += piece_ids[i] == id;",
  },
  {
    name: "a wrong mask",
    source: "attention_f32.cu",
    right: "const bool is_seen = from + c <= position && ",
    wrong: "const bool is_seen = from + c <= position + 1 && ",
    test: "attention::attention",
    report: /attention .* on bowline::cuda::Cuda out\[\d+\]: got/,
  },
  {
    name: "a stage released early",
    source: "attention_bf16_backward.cu",
    right: "      add_weighted_rows<P, STEP>(k_sums, d_weights, q_tile);\n      __syncthreads();",
    wrong: "      add_weighted_rows<P, STEP>(k_sums, d_weights, q_tile);\n",
    test: "attention_bf16::attention",
    report: /race/,
    line: "gpu_cp_async16(tile + row * PITCH<P> + column, from, is_there);",
  },
  {
    // found by values only where a device of compute capability 9.0 does take this kernel
    name: "a stage of TMA released early",
    source: "wgmma.cu",
    right: "      gpu_wgmma_wait<1>();  // the products of the stage before are done\n",
    wrong: "",
    test: "linear::linear_in_bf16",
    report: /linear Bf16 .* on bowline::cuda::Cuda \w+\[\d+\]: got/,
  },
  {
    name: "an unpadded tail",
    source: "grouped_linear.cu",
    file: "include/gemm.cuh",
    right: "const bool is_inside = first + x < size && from + depth < k;",
    wrong: "const bool is_inside = size > 0 && from + depth < k;",
    test: "grouped_linear::grouped_linear",
    report: /out-of-bounds read/,
    line: "tile[depth][x] = is_inside ? data[(first + x) * step + (from + depth) * k_step] : 0.0f;",
  },
];

/** Copies the sources, and the file that is changed, into a folder of this name, and builds the library there. */
async function build(name: string, sources: readonly string[], fault?: Fault): Promise<string> {
  const folder = join(kernels, "build/planted", name.replaceAll(" ", "_"));
  await Deno.mkdir(join(folder, "include"), { recursive: true });
  for (const source of sources) await Deno.copyFile(join(kernels, source), join(folder, source));
  if (fault) {
    const file = fault.file ?? fault.source;
    const parts = (await Deno.readTextFile(join(kernels, file))).split(fault.right);
    assert.equal(parts.length, 2, `"${fault.right}" stands once in ${file}`);
    await Deno.writeTextFile(join(folder, file), parts.join(fault.wrong));
  }
  return await buildLibrary("checked", sources.map((source) => join(folder, source)), folder);
}

const ignore = !await hasCompiler();

for (const fault of FAULTS) {
  Deno.test({
    name: `${fault.name} in ${fault.source} is found`,
    ignore,
    fn: async () => {
      const library = await build(fault.name, [fault.source], fault);
      const { isSuccess, output } = await testOps(library, [fault.test]);
      assert.ok(!isSuccess, `${fault.test} passes`);
      if (fault.line === undefined) {
        assert.match(output, fault.report);
        return;
      }
      const reports = [...output.matchAll(/^checker: (?:.* at )?(.*?):(\d+): (.*)$/gm)];
      const isFound = ([, path, line, text]: string[]) =>
        fault.report.test(text!) && Deno.readTextFileSync(path!).split("\n")[Number(line) - 1]!.endsWith(fault.line!);
      assert.ok(reports.some(isFound), output);
    },
  });
}

Deno.test({
  name: "the same sources without a fault are clean",
  ignore,
  fn: async () => {
    const library = await build("nothing", [...new Set(FAULTS.map((fault) => fault.source))]);
    const { isSuccess, output } = await testOps(library, FAULTS.map((fault) => fault.test));
    assert.ok(isSuccess, output);
    assert.doesNotMatch(output, /^checker:/m);
  },
});
