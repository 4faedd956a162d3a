// Instructions of sm_80 and later: cp.async, copies of 16 bytes to shared memory in groups that are waited for; ldmatrix
// and mma.sync, a warp's matrices of bf16, spread over its lanes.
#pragma once

// The address of shared memory as PTX instructions take it.
__device__ __forceinline__ unsigned gpu_saddr(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

// Copies 16 bytes, or writes zeros where they are not wanted; both addresses are multiples of 16.
__device__ __forceinline__ void gpu_cp_async16(void* shared, const void* global, bool is_wanted) {
  const int bytes = is_wanted ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :: "r"(gpu_saddr(shared)), "l"(global), "r"(bytes) : "memory");
}

// Ends a group.
__device__ __forceinline__ void gpu_cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most so many of this thread's newest groups are not done.
template <int groups>
__device__ __forceinline__ void gpu_cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" :: "n"(groups) : "memory");
}

// Loads four matrices of 8 x 8; lane 8 m + r gives the address of row r of matrix m.
__device__ __forceinline__ void gpu_ldmatrix_x4(unsigned (&fragments)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]), "=r"(fragments[3])
               : "r"(gpu_saddr(row)) : "memory");
}

// The same, and transposes each matrix.
__device__ __forceinline__ void gpu_ldmatrix_x4_trans(unsigned (&fragments)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]), "=r"(fragments[3])
               : "r"(gpu_saddr(row)) : "memory");
}

// sums (16 x 8, f32) += a (16 x 16, by rows) * b (16 x 8, by columns).
__device__ __forceinline__ void gpu_mma_bf16(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
