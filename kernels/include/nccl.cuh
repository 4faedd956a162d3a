// The slice of NCCL that the library uses, opened at run time: prototypes of its C interface, which has been the same
// since 2.7. Where its header is at hand they are compared with it.
#pragma once

#include <cstddef>

#include "gpu.h"

struct NcclId {
  char bytes[128];
};

using NcclComm = struct ncclComm*;

enum { NCCL_SUCCESS = 0, NCCL_CHAR = 0, NCCL_FLOAT32 = 7, NCCL_FLOAT64 = 8, NCCL_SUM = 0 };

struct Nccl {
  int (*get_unique_id)(NcclId* id);
  int (*comm_init_rank)(NcclComm* comm, int world, NcclId id, int rank);
  int (*comm_destroy)(NcclComm comm);
  int (*group_start)();
  int (*group_end)();
  int (*reduce)(const void* x, void* out, size_t n, int type, int operation, int root, NcclComm comm,
                cudaStream_t stream);
  int (*broadcast)(const void* x, void* out, size_t n, int type, int root, NcclComm comm, cudaStream_t stream);
  int (*send)(const void* x, size_t n, int type, int peer, NcclComm comm, cudaStream_t stream);
  int (*receive)(void* out, size_t n, int type, int peer, NcclComm comm, cudaStream_t stream);
  int (*all_gather)(const void* x, void* out, size_t n, int type, NcclComm comm, cudaStream_t stream);
  const char* (*error_string)(int result);
};

#if defined(__CUDACC__) && __has_include(<nccl.h>)
#include <nccl.h>
static_assert(sizeof(NcclId) == sizeof(ncclUniqueId));
static_assert((int)ncclFloat32 == NCCL_FLOAT32 && (int)ncclFloat64 == NCCL_FLOAT64 && (int)ncclSum == NCCL_SUM);
static_assert((int)ncclSuccess == NCCL_SUCCESS);
#endif
