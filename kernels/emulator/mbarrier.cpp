// mbarrier. Its state lies in the eight bytes that the kernel gives it, as on the hardware.
#include "sm_90.h"

#include "block.h"
#include "checker/check.h"

namespace emulator {

namespace {

struct State64 {
  uint32_t phase : 1;
  uint32_t arrivals : 15;  // of each phase
  uint32_t pending : 16;   // arrivals that are still to come
  int32_t bytes;           // that are still to come; below 0 where a load is done before it was expected
};
static_assert(sizeof(State64) == 8);

constexpr unsigned most_arrivals = (1 << 15) - 1;

State64 read(const unsigned long long* barrier, check::Kind kind, Site site) {
  check::access(barrier, sizeof *barrier, kind, site);
  const State64 state = unpack<State64>(*barrier);
  if (state.arrivals == 0 || state.pending > state.arrivals) {
    fail(site, "mbarrier %p is used before it was initialised", static_cast<const void*>(barrier));
  }
  return state;
}

void write(unsigned long long* barrier, State64 state) {
  if (state.pending == 0 && state.bytes == 0) {
    state.phase ^= 1;
    state.pending = state.arrivals;
    this_block().idle_spins = 0;
  }
  *barrier = pack(state);
}

}  // namespace

void mbarrier_init(unsigned long long* barrier, unsigned arrivals, Site site) {
  if (arrivals == 0 || arrivals > most_arrivals) {
    fail(site, "mbarrier for %u arrivals; wanted 1 to %u", arrivals, most_arrivals);
  }
  check::access(barrier, sizeof *barrier, check::Kind::atomic_store, site);
  State64 state{};
  state.arrivals = state.pending = arrivals;
  *barrier = pack(state);
}

void mbarrier_arrive(unsigned long long* barrier, unsigned bytes, Site site) {
  State64 state = read(barrier, check::Kind::atomic_update, site);
  if (state.pending == 0) {
    fail(site, "thread %u arrives at an mbarrier for which all %u arrivals of the phase were made", current->linear,
         unsigned(state.arrivals));
  }
  state.bytes += int32_t(bytes);
  state.pending--;
  write(barrier, state);
}

void mbarrier_complete(unsigned long long* barrier, unsigned bytes, Site site) {
  State64 state = read(barrier, check::Kind::atomic_update, site);
  state.bytes -= int32_t(bytes);
  write(barrier, state);
}

void mbarrier_wait(unsigned long long* barrier, unsigned parity, Site site) {
  while (true) {
    deliver_loads(barrier);
    if (read(barrier, check::Kind::atomic_read, site).phase != (parity & 1)) return;
    spin("mbarrier wait", site);
  }
}

}  // namespace emulator
