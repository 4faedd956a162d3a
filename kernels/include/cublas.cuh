// Dense products by cuBLAS, which is loaded when the first one comes.
//
// BOWLINE_CUBLAS says which: `auto`, the default for a GPU, is libcublas.so.13 or .12 where the loader finds it, and
// the kernels of this library where it does not; `off`, the default of the emulator, is these always; anything else is
// the file to load.
#pragma once

#include "gemm.cuh"

// Launches the product and returns true; false when it is not one for cuBLAS or there is none. Factors are rounded to
// bf16 in that precision, and in f32 no shorter type is used on the way.
bool multiply_by_cublas(Call& call, const Products& products);

void close_cublas(Call& call);
