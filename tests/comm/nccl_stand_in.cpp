// A library with the functions of NCCL that the kernel library calls, between processes of one machine without a GPU:
// device memory is that of the emulator, which is the host's. Every rank has a connection to rank 0, over which all
// numbers pass; sums are in the order of the ranks.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

struct Id {
  char bytes[128];
};

struct ncclComm {
  int rank, world;
  // At rank 0 to each other rank, by rank; elsewhere to rank 0 at index 0.
  std::vector<int> lines;
};

namespace {

constexpr int OK = 0, SYSTEM_ERROR = 2, INVALID = 4;
// Where rank 0 listens, from the making of the id until all are there.
int listener = -1;

size_t size_of(int type) { return type == 8 ? 8 : 4; }

bool write_all(int line, const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = send(line, at, bytes, MSG_NOSIGNAL);
    if (n <= 0) return false;
    at += n;
    bytes -= n;
  }
  return true;
}

bool read_all(int line, void* data, size_t bytes) {
  char* at = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t n = recv(line, at, bytes, 0);
    if (n <= 0) return false;
    at += n;
    bytes -= n;
  }
  return true;
}

int answer(bool is_done) { return is_done ? OK : SYSTEM_ERROR; }

}  // namespace

extern "C" {

int ncclGetUniqueId(Id* id) {
  *id = Id{};
  listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) || listen(listener, 64)) return SYSTEM_ERROR;
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size)) return SYSTEM_ERROR;
  std::memcpy(id->bytes, &address, sizeof address);
  return OK;
}

int ncclCommInitRank(ncclComm** comm, int world, Id id, int rank) {
  *comm = new ncclComm{rank, world, std::vector<int>(world, -1)};
  const int one = 1;
  if (rank == 0) {
    for (int i = 1; i < world; i++) {
      const int line = accept(listener, nullptr, nullptr);
      int32_t who = 0;
      if (line < 0 || !read_all(line, &who, sizeof who) || who < 1 || who >= world) return SYSTEM_ERROR;
      setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      (*comm)->lines[who] = line;
    }
    close(listener);
    return OK;
  }
  sockaddr_in address;
  std::memcpy(&address, id.bytes, sizeof address);
  const int line = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(line, reinterpret_cast<sockaddr*>(&address), sizeof address)) return SYSTEM_ERROR;
  setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  (*comm)->lines[0] = line;
  const int32_t me = rank;
  return answer(write_all(line, &me, sizeof me));
}

int ncclCommDestroy(ncclComm* comm) {
  for (const int line : comm->lines) {
    if (line >= 0) close(line);
  }
  delete comm;
  return OK;
}

// Moves are made at once, in the order of the calls, which is the same on all ranks.
int ncclGroupStart() { return OK; }
int ncclGroupEnd() { return OK; }

int ncclSend(const void* x, size_t n, int type, int peer, ncclComm* comm, void*) {
  if (peer != 0 && comm->rank != 0) return INVALID;
  return answer(write_all(comm->lines[peer], x, n * size_of(type)));
}

int ncclRecv(void* out, size_t n, int type, int peer, ncclComm* comm, void*) {
  if (peer != 0 && comm->rank != 0) return INVALID;
  return answer(read_all(comm->lines[peer], out, n * size_of(type)));
}

int ncclReduce(const void* x, void* out, size_t n, int type, int operation, int root, ncclComm* comm, void* stream) {
  if (type != 7 || operation != 0) return INVALID;
  const float* mine = static_cast<const float*>(x);
  if (comm->rank != 0) {
    int result = ncclSend(x, n, type, 0, comm, stream);
    if (result == OK && comm->rank == root) result = ncclRecv(out, n, type, 0, comm, stream);
    return result;
  }
  std::vector<float> sum(mine, mine + n), part(n);
  for (int rank = 1; rank < comm->world; rank++) {
    if (ncclRecv(part.data(), n, type, rank, comm, stream) != OK) return SYSTEM_ERROR;
    for (size_t i = 0; i < n; i++) sum[i] += part[i];
  }
  if (root != 0) return ncclSend(sum.data(), n, type, root, comm, stream);
  std::memcpy(out, sum.data(), n * sizeof(float));
  return OK;
}

int ncclBroadcast(const void* x, void* out, size_t n, int type, int root, ncclComm* comm, void* stream) {
  const size_t bytes = n * size_of(type);
  if (comm->rank == root && x != out) std::memmove(out, x, bytes);
  if (comm->rank != 0) {
    return comm->rank == root ? ncclSend(out, n, type, 0, comm, stream) : ncclRecv(out, n, type, 0, comm, stream);
  }
  if (root != 0 && ncclRecv(out, n, type, root, comm, stream) != OK) return SYSTEM_ERROR;
  for (int rank = 1; rank < comm->world; rank++) {
    if (rank != root && ncclSend(out, n, type, rank, comm, stream) != OK) return SYSTEM_ERROR;
  }
  return OK;
}

int ncclAllGather(const void* x, void* out, size_t n, int type, ncclComm* comm, void* stream) {
  char* all = static_cast<char*>(out);
  for (int rank = 0; rank < comm->world; rank++) {
    void* part = all + rank * n * size_of(type);
    const int result = ncclBroadcast(comm->rank == rank ? x : part, part, n, type, rank, comm, stream);
    if (result != OK) return result;
  }
  return OK;
}

const char* ncclGetErrorString(int result) { return result == INVALID ? "invalid argument" : "system error"; }

}  // extern "C"
