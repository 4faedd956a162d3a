// Collectives between the devices of several processes, by NCCL on a stream of their own.
#include "include/nccl.cuh"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

#include "include/call.cuh"

struct bowline_comm {
  NcclComm ranks;
  int rank, world;
  // Where moves are made, and marks between it and the stream that computes.
  cudaStream_t stream;
  cudaEvent_t computed, moved;
};

namespace {

Nccl nccl;
// Why the library cannot be used; empty when it can.
std::string nccl_reason;

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function && nccl_reason.empty()) nccl_reason = std::string("NCCL has no ") + name + "; wanted 2.7 or newer";
}

void open_library() {
  const char* named = std::getenv("BOWLINE_NCCL");
  const char* file = named && *named ? named : "libnccl.so.2";
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    nccl_reason = std::string("the library of NCCL cannot be opened: ") + dlerror();
    return;
  }
  find(library, "ncclGetUniqueId", nccl.get_unique_id);
  find(library, "ncclCommInitRank", nccl.comm_init_rank);
  find(library, "ncclCommDestroy", nccl.comm_destroy);
  find(library, "ncclGroupStart", nccl.group_start);
  find(library, "ncclGroupEnd", nccl.group_end);
  find(library, "ncclReduce", nccl.reduce);
  find(library, "ncclBroadcast", nccl.broadcast);
  find(library, "ncclSend", nccl.send);
  find(library, "ncclRecv", nccl.receive);
  find(library, "ncclAllGather", nccl.all_gather);
  find(library, "ncclGetErrorString", nccl.error_string);
}

// Whether NCCL is there; else the call has failed.
bool has_nccl(Call& call) {
  static std::once_flag once;
  std::call_once(once, open_library);
  if (!nccl_reason.empty()) call.fail(BOWLINE_UNSUPPORTED, nccl_reason);
  return nccl_reason.empty();
}

bool check(Call& call, int result) {
  if (result != NCCL_SUCCESS) call.fail(BOWLINE_FAILED, std::string("NCCL: ") + nccl.error_string(result));
  return result == NCCL_SUCCESS;
}

// Makes the stream of moves wait for what was launched until now.
bool follow(Call& call, bowline_comm* comm) {
  return call.check(cudaEventRecord(comm->computed)) && call.check(cudaStreamWaitEvent(comm->stream, comm->computed));
}

// The ranks of the device, or null after an error.
bowline_comm* joined(Call& call) {
  if (!call.device().comm) call.fail(BOWLINE_FAILED, "no other ranks were joined");
  return call.device().comm;
}

// Gives back what is there of the stream and its marks.
void destroy_stream(Call& call, const bowline_comm& comm) {
  if (comm.computed) call.check(cudaEventDestroy(comm.computed));
  if (comm.moved) call.check(cudaEventDestroy(comm.moved));
  if (comm.stream) call.check(cudaStreamDestroy(comm.stream));
}

}  // namespace

extern "C" int bowline_comm_id(bowline_device* device, char* host_id, size_t size) {
  Call call(device, "make an id for ranks");
  NcclId id;
  if (size < sizeof id) {
    call.fail(BOWLINE_UNSUPPORTED, "the id has no room");
  } else if (has_nccl(call) && check(call, nccl.get_unique_id(&id))) {
    std::memcpy(host_id, id.bytes, sizeof id);
  }
  return call.end();
}

extern "C" int bowline_comm_join(bowline_device* device, const char* host_id, size_t size, uint32_t rank,
                                 uint32_t world) {
  Call call(device, "join the other ranks");
  NcclId id;
  if (size != sizeof id || device->comm) {
    call.fail(BOWLINE_UNSUPPORTED, device->comm ? "they were joined before" : "the id has another size");
    return call.end();
  }
  if (!has_nccl(call)) return call.end();
  std::memcpy(id.bytes, host_id, sizeof id);
  bowline_comm comm{};
  comm.rank = static_cast<int>(rank);
  comm.world = static_cast<int>(world);
  const bool is_ready = call.check(cudaStreamCreateWithFlags(&comm.stream, cudaStreamNonBlocking)) &&
                        call.check(cudaEventCreateWithFlags(&comm.computed, cudaEventDisableTiming)) &&
                        call.check(cudaEventCreateWithFlags(&comm.moved, cudaEventDisableTiming));
  if (is_ready && check(call, nccl.comm_init_rank(&comm.ranks, comm.world, id, comm.rank))) {
    device->comm = new bowline_comm(comm);
  } else {
    destroy_stream(call, comm);
  }
  return call.end();
}

extern "C" int bowline_comm_begin(bowline_device* device) {
  Call call(device, "begin moves between ranks");
  bowline_comm* comm = joined(call);
  if (comm && follow(call, comm)) check(call, nccl.group_start());
  return call.end();
}

extern "C" int bowline_comm_reduce(bowline_device* device, float* x, size_t n, uint32_t owner) {
  Call call(device, "sum over ranks");
  if (bowline_comm* comm = joined(call)) {
    check(call, nccl.reduce(x, x, n, NCCL_FLOAT32, NCCL_SUM, static_cast<int>(owner), comm->ranks, comm->stream));
  }
  return call.end();
}

extern "C" int bowline_comm_broadcast(bowline_device* device, float* x, size_t n, uint32_t owner) {
  Call call(device, "give to all ranks");
  if (bowline_comm* comm = joined(call)) {
    check(call, nccl.broadcast(x, x, n, NCCL_FLOAT32, static_cast<int>(owner), comm->ranks, comm->stream));
  }
  return call.end();
}

extern "C" int bowline_comm_deliver(bowline_device* device, float* x, size_t n, uint32_t owner) {
  Call call(device, "give to rank 0");
  if (bowline_comm* comm = joined(call)) {
    check(call, comm->rank == 0
                    ? nccl.receive(x, n, NCCL_FLOAT32, static_cast<int>(owner), comm->ranks, comm->stream)
                    : nccl.send(x, n, NCCL_FLOAT32, 0, comm->ranks, comm->stream));
  }
  return call.end();
}

extern "C" int bowline_comm_end(bowline_device* device) {
  Call call(device, "start moves between ranks");
  if (joined(call)) check(call, nccl.group_end());
  return call.end();
}

extern "C" int bowline_comm_finish(bowline_device* device) {
  Call call(device, "wait for moves between ranks");
  bowline_comm* comm = joined(call);
  if (comm && call.check(cudaEventRecord(comm->moved, comm->stream))) {
    call.check(cudaStreamWaitEvent(nullptr, comm->moved));
  }
  return call.end();
}

extern "C" int bowline_comm_gather(bowline_device* device, double* host_out, const double* host_x, size_t n,
                                   size_t world) {
  Call call(device, "gather numbers of all ranks");
  bowline_comm* comm = joined(call);
  if (n == 0 || !comm) return call.end();
  if (world != static_cast<size_t>(comm->world)) {
    call.fail(BOWLINE_UNSUPPORTED, "there are " + std::to_string(comm->world) + " ranks");
    return call.end();
  }
  double* all = call.scratch_of<double>(n * world);
  if (!all) return call.end();
  double* mine = all + n * comm->rank;
  if (call.copy(mine, host_x, n * sizeof(double), cudaMemcpyHostToDevice) && follow(call, comm) &&
      check(call, nccl.all_gather(mine, all, n, NCCL_FLOAT64, comm->ranks, comm->stream)) &&
      call.check(cudaStreamSynchronize(comm->stream))) {
    call.copy(host_out, all, n * world * sizeof(double), cudaMemcpyDeviceToHost);
  }
  return call.end();
}

extern "C" int bowline_comm_leave(bowline_device* device) {
  Call call(device, "leave the other ranks");
  if (bowline_comm* comm = joined(call)) {
    call.check(cudaStreamSynchronize(comm->stream));
    check(call, nccl.comm_destroy(comm->ranks));
    destroy_stream(call, *comm);
    device->comm = nullptr;
    delete comm;
  }
  return call.end();
}
