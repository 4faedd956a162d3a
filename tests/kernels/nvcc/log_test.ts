/** Reading what nvcc and ptxas write, on lines as they print them. */
import assert from "node:assert/strict";
import { splitPtx } from "../../../kernels/cuda.ts";
import { kernelName, readLog } from "../../../kernels/nvcc_log.ts";

const compiled = (kernel: string, target: string, stack: number, spilled: number, registers: number) =>
  `ptxas info    : Compiling entry function '${kernel}' for '${target}'
ptxas info    : Function properties for ${kernel}
    ${stack} bytes stack frame, ${spilled} bytes spill stores, ${spilled} bytes spill loads
ptxas info    : Used ${registers} registers, used 1 barriers, 33984 bytes smem, 464 bytes cmem[0]
`;

Deno.test("the log of nvcc gives each kernel's registers for each target", () => {
  const log = compiled("_ZN12_GLOBAL__N_17permuteIfEEvPT_", "sm_80", 0, 0, 32) +
    compiled("_Z4scanPi", "sm_90a", 0, 0, 168);
  assert.deepEqual(readLog(log), {
    uses: [
      { kernel: "permute<f>", target: "sm_80", registers: 32 },
      { kernel: "scan", target: "sm_90a", registers: 168 },
    ],
    faults: [],
  });
});

Deno.test("spills, stack frames and products that wait are faults of a kernel for a target", () => {
  const log = compiled("_Z4fastPi", "sm_80", 0, 0, 32) + compiled("_Z4slowPi", "sm_90a", 0, 8, 255) +
    compiled("_Z5arrayPi", "sm_90", 256, 0, 20) +
    "ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized\n";
  assert.deepEqual(readLog(log).faults, [
    "slow for sm_90a: 0 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads",
    "array for sm_90: 256 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads",
    "array for sm_90: (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized",
  ]);
});

Deno.test("the stack of a function that a kernel calls is a fault, and its registers are not the kernel's", () => {
  const log = compiled("_Z4callPi", "sm_80", 0, 0, 40) +
    `ptxas info    : Function properties for _Z6calleePi
    16 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
`;
  assert.deepEqual(readLog(log).faults, [
    "call for sm_80: a function that it calls has 16 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads",
  ]);
  assert.equal(readLog(log).uses.length, 1);
});

Deno.test("a kernel's name comes without namespaces and parameters, with its template's arguments", () => {
  const scope = "_ZN44_GLOBAL__N__868d92ee_11_dispatch_cu_c698c1ba";
  assert.equal(kernelName(`${scope}14permute_kernelI6float4EEvPT_PKS2_PKilll`), "permute_kernel<6float4>");
  assert.equal(kernelName(`${scope}12count_kernelEPiPKilll`), "count_kernel");
  assert.equal(kernelName("_Z12wgmma_kernelILi128EL5Write2EEvi"), "wgmma_kernel<Li128EL5Write2>");
  assert.equal(kernelName("plain"), "plain");
});

Deno.test("a kernel's PTX goes to the next kernel, past blocks of assembly that end like it", () => {
  const text = `.version 9.0
.global .align 4 .b8 table[4];
.visible .entry _Z4fastPi(
	.param .u64 _Z4fastPi_param_0
)
{
	// begin inline asm
	{
.reg .pred adds;
}
	// end inline asm
	wgmma.mma_async.sync.aligned;
	ret;
}
	// .globl	_Z4slowPi
.weak .entry _Z4slowPi(
)
{
	.local .align 16 .b8 	__local_depot0[64];
	ret;
}
`;
  const kernels = splitPtx(text);
  assert.deepEqual([...kernels.keys()], ["fast", "slow"]);
  assert.ok(kernels.get("fast")!.includes("wgmma") && !kernels.get("fast")!.includes(".local"));
  assert.ok(kernels.get("slow")!.includes(".local") && !kernels.get("slow")!.includes("wgmma"));
});
