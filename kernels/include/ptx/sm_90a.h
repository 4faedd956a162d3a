// Instructions of sm_90a: wgmma, products of matrices of bf16 in shared memory by four warps, which go on meanwhile.
#pragma once

__device__ __forceinline__ void gpu_wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Ends a group.
__device__ __forceinline__ void gpu_wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until at most so many of the newest groups are not done.
template <int groups>
__device__ __forceinline__ void gpu_wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(groups) : "memory");
}

// Gives registers to this warpgroup, or gives them back.
template <int registers>
__device__ __forceinline__ void gpu_setmaxnreg_inc() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(registers));
}

template <int registers>
__device__ __forceinline__ void gpu_setmaxnreg_dec() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(registers));
}

// The names of 16 registers each, and the operands that they stand for.
#define GPU_REGISTERS_0 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define GPU_REGISTERS_1 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define GPU_REGISTERS_2 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define GPU_REGISTERS_3 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define GPU_REGISTERS_4 "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"
#define GPU_REGISTERS_5 "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define GPU_REGISTERS_6 "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111"
#define GPU_REGISTERS_7 "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

#define GPU_OPERANDS_4(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
#define GPU_OPERANDS_16(i) GPU_OPERANDS_4(i), GPU_OPERANDS_4(i + 4), GPU_OPERANDS_4(i + 8), GPU_OPERANDS_4(i + 12)
#define GPU_OPERANDS_32(i) GPU_OPERANDS_16(i), GPU_OPERANDS_16(i + 16)
#define GPU_OPERANDS_64(i) GPU_OPERANDS_32(i), GPU_OPERANDS_32(i + 32)
#define GPU_OPERANDS_128(i) GPU_OPERANDS_64(i), GPU_OPERANDS_64(i + 64)

#define GPU_REGISTERS_LIST_32 GPU_REGISTERS_0 ", " GPU_REGISTERS_1
#define GPU_REGISTERS_LIST_64 GPU_REGISTERS_LIST_32 ", " GPU_REGISTERS_2 ", " GPU_REGISTERS_3
#define GPU_REGISTERS_LIST_128 \
  GPU_REGISTERS_LIST_64 ", " GPU_REGISTERS_4 ", " GPU_REGISTERS_5 ", " GPU_REGISTERS_6 ", " GPU_REGISTERS_7

// sums (64 x columns, f32) = [sums +] a (64 x 16) * b (16 x columns), both by descriptors, K-major. The last three
// operands follow the sums.
#define GPU_WGMMA(columns, sum_count, a_operand, b_operand, adds_operand)                                            \
  __device__ __forceinline__ void gpu_wgmma_m64n##columns##k16(float (&sums)[sum_count], unsigned long long a,       \
                                                               unsigned long long b, int adds) {                     \
    asm volatile("{\n"                                                                                               \
                 ".reg .pred adds;\n"                                                                                \
                 "setp.ne.b32 adds, " adds_operand ", 0;\n"                                                          \
                 "wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32.bf16.bf16 {" GPU_REGISTERS_LIST_##sum_count   \
                 "}, " a_operand ", " b_operand ", adds, 1, 1, 0, 0;\n"                                              \
                 "}"                                                                                                 \
                 : GPU_OPERANDS_##sum_count(0)                                                                       \
                 : "l"(a), "l"(b), "r"(adds));                                                                       \
  }

GPU_WGMMA(64, 32, "%32", "%33", "%34")
GPU_WGMMA(128, 64, "%64", "%65", "%66")
GPU_WGMMA(256, 128, "%128", "%129", "%130")
