// Running a kernel over a grid, and the settings of the emulator.
#pragma once

#include <functional>
#include <tuple>

#include "runtime.h"
#include "types.h"

namespace emulator {

// Runs a body once for each thread of a grid, or sets the last error where a GPU would refuse the launch.
void run_grid(const char* name, const void* kernel, dim3 grid, dim3 block, size_t dynamic_shared,
              const std::function<void()>& body);

template <class... Parameters, class... Arguments>
void launch(const char* name, dim3 grid, dim3 block, size_t dynamic_shared, cudaStream_t,
            void (*kernel)(Parameters...), Arguments&&... arguments) {
  // The parameters are copied once, as CUDA does it.
  const std::tuple<std::decay_t<Parameters>...> parameters(std::forward<Arguments>(arguments)...);
  run_grid(name, reinterpret_cast<const void*>(kernel), grid, block, dynamic_shared,
           [&] { std::apply(kernel, parameters); });
}

}  // namespace emulator

#define EMULATOR_EXPORT extern "C" __attribute__((visibility("default")))

// The order of blocks, warps and lanes: 0 is the natural one. BOWLINE_EMULATOR_SEED is the first value.
EMULATOR_EXPORT void emulator_set_seed(unsigned seed);
// Host threads that take blocks, 1 at first or BOWLINE_EMULATOR_WORKERS; the checker has one always.
EMULATOR_EXPORT void emulator_set_workers(unsigned workers);
// What the checker has found so far; 0 where it is not built in.
EMULATOR_EXPORT size_t emulator_check_errors();
