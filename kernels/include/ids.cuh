// The check of ids from outside.
#pragma once

#include "call.cuh"

// Sets `*host_bad` to the first place of an id outside `low..high`, or to `n`, and waits for it. True when all are
// within and nothing failed.
bool are_within(Call& call, size_t* host_bad, const int32_t* ids, size_t n, int64_t low, int64_t high);
