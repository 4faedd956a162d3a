/*
 * The kernel library as plain C: what the core calls, built for a GPU or for the emulator. Shapes and letters are those
 * of ffi/src/backend.rs, whose ops these are. All that they read and write is f32; `bowline_set_precision` says how
 * they multiply matrices.
 *
 * Pointers to f32 and i32 are device memory, row-major; a pointer called `host_...` is host memory. Order of arguments:
 * outputs, saved, inputs, dims. Calls on one device are made one at a time and run in their order; only copies to the
 * host and functions that return numbers wait for the device. Every function answers a status; after one that is not
 * BOWLINE_OK, `bowline_error` has the reason. Same inputs give the same bits.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of these functions; ffi/src/cuda/library.rs wants the same. */
#define BOWLINE_KERNELS_ABI 4
#define BOWLINE_API __attribute__((visibility("default")))

enum bowline_status {
  BOWLINE_OK = 0,
  BOWLINE_NO_DRIVER = 1, /* no driver, or none that fits this library */
  BOWLINE_NO_DEVICE = 2, /* a driver, and no device with this number */
  BOWLINE_OUT_OF_MEMORY = 3,
  BOWLINE_UNSUPPORTED = 4, /* a card, a shape or a setting that this library has nothing for */
  BOWLINE_FAILED = 5       /* any other error of the driver; the device is not to be used again */
};

/* How products of matrices are computed. */
enum bowline_precision {
  BOWLINE_F32 = 0,
  BOWLINE_BF16 = 1 /* factors are rounded to bf16, sums are f32 */
};

/* --- device --- */

/* One opened device with its working memory. */
typedef struct bowline_device bowline_device;
/* BOWLINE_KERNELS_ABI of the library. */
BOWLINE_API uint32_t bowline_kernels_abi(void);
/* Number of devices; 0 where there is no driver. */
BOWLINE_API uint32_t bowline_device_count(void);
/* Opens device `ordinal`. `*device` is set in any case, so that `bowline_error` can be asked, and is to be closed. */
BOWLINE_API int bowline_open(bowline_device** device, uint32_t ordinal);
/* Sets a bowline_precision for the calls from now on; BOWLINE_F32 at first. */
BOWLINE_API int bowline_set_precision(bowline_device* device, int precision);
/* Frees the device's working memory; buffers are freed before. */
BOWLINE_API int bowline_close(bowline_device* device);
/* Writes the reason of the last failure, zero-terminated and cut to `size` bytes. */
BOWLINE_API int bowline_error(bowline_device* device, char* host_text, size_t size);
/* Writes the name, zero-terminated and cut to `size` bytes, the bytes of memory in all and free, and the newest CUDA
 * that the driver knows, 13020 for 13.2. */
BOWLINE_API int bowline_info(bowline_device* device, char* host_name, size_t size, uint64_t* host_total,
                             uint64_t* host_free, int32_t* host_driver);
/* Writes the bytes of working memory that are kept for calls to come: the most that one took so far. */
BOWLINE_API int bowline_working(bowline_device* device, uint64_t* host_bytes);

/* --- memory --- */

/* Sets `*memory` to `bytes` zeroed bytes, or to NULL for none. */
BOWLINE_API int bowline_alloc(bowline_device* device, void** memory, size_t bytes);
BOWLINE_API int bowline_release(bowline_device* device, void* memory);
/* Overwrites device memory. */
BOWLINE_API int bowline_upload(bowline_device* device, void* out, const void* host_x, size_t bytes);
/* Overwrites host memory. */
BOWLINE_API int bowline_download(bowline_device* device, void* host_out, const void* x, size_t bytes);

/* --- collectives: between the devices of several processes, by NCCL, which the first of these calls opens:
 * libnccl.so.2, or what BOWLINE_NCCL names. All ranks make the same calls in the same order. --- */

/* Writes a new id for a group of ranks; `size` is at least 128. One rank makes it and gives it to all. */
BOWLINE_API int bowline_comm_id(bowline_device* device, char* host_id, size_t size);
/* Joins the group of an id as `rank` of `world`; waits for the others. */
BOWLINE_API int bowline_comm_join(bowline_device* device, const char* host_id, size_t size, uint32_t rank,
                                  uint32_t world);
/* Begins moves of what was computed until now. They are made together, beside what is computed meanwhile. */
BOWLINE_API int bowline_comm_begin(bowline_device* device);
/* `x` (n) of rank `owner` becomes the sum over ranks; that of others is of no use afterwards. */
BOWLINE_API int bowline_comm_reduce(bowline_device* device, float* x, size_t n, uint32_t owner);
/* `x` (n) becomes that of rank `owner`. */
BOWLINE_API int bowline_comm_broadcast(bowline_device* device, float* x, size_t n, uint32_t owner);
/* `x` (n) of rank 0 becomes that of rank `owner`, another; no other rank calls it. */
BOWLINE_API int bowline_comm_deliver(bowline_device* device, float* x, size_t n, uint32_t owner);
/* Starts the moves since `bowline_comm_begin`. */
BOWLINE_API int bowline_comm_end(bowline_device* device);
/* What is computed from now on comes after the moves. */
BOWLINE_API int bowline_comm_finish(bowline_device* device);
/* Overwrites `host_out` (world, n) with the `host_x` (n) of every rank. */
BOWLINE_API int bowline_comm_gather(bowline_device* device, double* host_out, const double* host_x, size_t n,
                                    size_t world);
/* Leaves the group. */
BOWLINE_API int bowline_comm_leave(bowline_device* device);

/* --- elementwise --- */

/* Overwrites `out` (n). */
BOWLINE_API int bowline_fill(bowline_device* device, float* out, float value, size_t n);
/* Overwrites `out` (n). */
BOWLINE_API int bowline_copy(bowline_device* device, float* out, const float* x, size_t n);
/* Adds `x` into `out` (n). */
BOWLINE_API int bowline_add(bowline_device* device, float* out, const float* x, size_t n);
/* Overwrites `*host_sum` with the sum of squares of `x` (n). */
BOWLINE_API int bowline_sum_squares(bowline_device* device, double* host_sum, const float* x, size_t n);

/* --- embedding --- */

/* Overwrites `out` (T, D), or sets `*host_bad` to the first place of a token outside 0..V; else to T. `table` (V, D),
 * `tokens` (T). */
BOWLINE_API int bowline_embedding_forward(bowline_device* device, float* out, size_t* host_bad, const float* table,
                                          const int32_t* tokens, size_t t, size_t v, size_t d);
/* Adds into `d_table` (V, D); tokens in ascending order, a negative one adds nothing. `d_out` (T, D). */
BOWLINE_API int bowline_embedding_backward(bowline_device* device, float* d_table, const float* d_out,
                                           const int32_t* tokens, size_t t, size_t v, size_t d);

/* --- rmsnorm --- */

/* Overwrites `out` (R, D). `x` (R, D), `w` (D). */
BOWLINE_API int bowline_rmsnorm_forward(bowline_device* device, float* out, const float* x, const float* w, size_t rows,
                                        size_t d, float eps);
/* Adds into `d_x` (R, D) and `d_w` (D). `x`, `d_out` (R, D), `w` (D). */
BOWLINE_API int bowline_rmsnorm_backward(bowline_device* device, float* d_x, float* d_w, const float* x, const float* w,
                                         const float* d_out, size_t rows, size_t d, float eps);

/* --- linear: in f32 when `is_f32`, whatever the precision --- */

/* Overwrites `out` (R, O) with `x w^T`. `x` (R, I), `w` (O, I). */
BOWLINE_API int bowline_linear_forward(bowline_device* device, float* out, const float* x, const float* w, size_t rows,
                                       size_t o, size_t i, int is_f32);
/* Adds `d_out w` into `d_x` (R, I). `d_out` (R, O), `w` (O, I). */
BOWLINE_API int bowline_linear_backward_input(bowline_device* device, float* d_x, const float* d_out, const float* w,
                                              size_t rows, size_t o, size_t i, int is_f32);
/* Adds `d_out^T x` into `d_w` (O, I). `d_out` (R, O), `x` (R, I). */
BOWLINE_API int bowline_linear_backward_weight(bowline_device* device, float* d_w, const float* d_out, const float* x,
                                               size_t rows, size_t o, size_t i, int is_f32);

/* --- clamp --- */

/* Clamps `x` (n) in place. */
BOWLINE_API int bowline_clamp_forward(bowline_device* device, float* x, float limit, size_t n);
/* Zeroes `d_x` (n) in place where `|x| > limit`; `x` (n) is the value before clamping. */
BOWLINE_API int bowline_clamp_backward(bowline_device* device, float* d_x, const float* x, float limit, size_t n);

/* --- rope --- */

/* Rotates `x` (B, S, heads, P) in place by the angles of positions `start..start+S`. */
BOWLINE_API int bowline_rope_forward(bowline_device* device, float* x, size_t start, size_t batch, size_t seq,
                                     size_t heads, size_t p, float theta);
/* Rotates `d_x` (B, S, heads, P) back, in place. */
BOWLINE_API int bowline_rope_backward(bowline_device* device, float* d_x, size_t start, size_t batch, size_t seq,
                                      size_t heads, size_t p, float theta);

/* --- attention: P is at most 256; over a cache it is in f32 always --- */

/* Overwrites `out` (B, S, H, P) and `lse` (B, H, S). `q` (B, S, H, P), `k`, `v` (B, S, Hkv, P). */
BOWLINE_API int bowline_attention_forward(bowline_device* device, float* out, float* lse, const float* q,
                                          const float* k, const float* v, size_t batch, size_t seq, size_t heads,
                                          size_t kv_heads, size_t p);
/* Overwrites `d_q` (B, S, H, P), `d_k`, `d_v` (B, S, Hkv, P). */
BOWLINE_API int bowline_attention_backward(bowline_device* device, float* d_q, float* d_k, float* d_v, const float* out,
                                           const float* lse, const float* q, const float* k, const float* v,
                                           const float* d_out, size_t batch, size_t seq, size_t heads, size_t kv_heads,
                                           size_t p);
/* Writes `k`, `v` (S, Hkv, P) into `k_cache`, `v_cache` at row `start`; overwrites `out` (S, H, P). `q` (S, H, P). */
BOWLINE_API int bowline_attention_cached(bowline_device* device, float* out, float* k_cache, float* v_cache,
                                         const float* q, const float* k, const float* v, size_t start, size_t seq,
                                         size_t heads, size_t kv_heads, size_t p);

/* --- router --- */

/* Overwrites `scores` (T, E), `lse` (T), `expert_ids`, `combine_weights` (T, K), and `host_sums` (3E + 3): choices of
 * each expert, first choices of each, sum of its scores; sum of lse^2, sum of entropies, largest logit: NaN where a
 * logit is not finite, and then nothing else counts. `logits` (T, E). With `choose_first`, top-K of the logits comes
 * before the softmax over those K; with `renormalize` the chosen scores are divided by their sum. */
BOWLINE_API int bowline_router_forward(bowline_device* device, float* scores, float* lse, int32_t* expert_ids,
                                       float* combine_weights, double* host_sums, const float* logits, size_t t,
                                       size_t e, size_t k, int choose_first, int renormalize);
/* Overwrites `d_logits` (T, E). `host_balance` (E): gradient of the balance loss by a score; `z`: factor of the
 * gradient of lse^2. `scores` (T, E), `lse` (T), `expert_ids`, `combine_weights`, `d_combine_weights` (T, K). */
BOWLINE_API int bowline_router_backward(bowline_device* device, float* d_logits, const float* scores, const float* lse,
                                        const int32_t* expert_ids, const float* combine_weights,
                                        const float* d_combine_weights, const float* host_balance, float z, size_t t,
                                        size_t e, size_t k, int choose_first, int renormalize);

/* --- dispatch --- */

/* Overwrites `offsets` (E+1), `slot_of_row`, `row_of_slot` (N). `expert_ids` (N), each in 0..E. */
BOWLINE_API int bowline_dispatch_plan(bowline_device* device, int32_t* offsets, int32_t* slot_of_row,
                                      int32_t* row_of_slot, const int32_t* expert_ids, size_t n, size_t e);
/* Overwrites `rows` (N, D) with `x[slot_of_row[r] / K]`. `x` (T, D), `slot_of_row` (N). */
BOWLINE_API int bowline_permute(bowline_device* device, float* rows, const float* x, const int32_t* slot_of_row,
                                size_t n, size_t k, size_t d);
/* Adds the K rows of each token into `out` (T, D), k ascending. `rows` (N, D), `row_of_slot` (T, K). */
BOWLINE_API int bowline_combine(bowline_device* device, float* out, const float* rows, const int32_t* row_of_slot,
                                size_t t, size_t k, size_t d);

/* --- grouped_linear: `offsets` (E+1) is read on the device; N is `most_rows` at most --- */

/* Overwrites `out` (N, O): row r of expert e is `w[e] x[r]`. `x` (N, I), `w` (E, O, I). */
BOWLINE_API int bowline_grouped_linear_forward(bowline_device* device, float* out, const float* x, const float* w,
                                               const int32_t* offsets, size_t most_rows, size_t e, size_t o, size_t i);
/* Overwrites `d_x` (N, I) with `d_out[r] w[e]`. `d_out` (N, O), `w` (E, O, I). */
BOWLINE_API int bowline_grouped_linear_backward_input(bowline_device* device, float* d_x, const float* d_out,
                                                      const float* w, const int32_t* offsets, size_t most_rows,
                                                      size_t e, size_t o, size_t i);
/* Adds `d_out[rows of e]^T x[rows of e]` into `d_w[e]` (E, O, I). `d_out` (N, O), `x` (N, I). */
BOWLINE_API int bowline_grouped_linear_backward_weight(bowline_device* device, float* d_w, const float* d_out,
                                                       const float* x, const int32_t* offsets, size_t most_rows,
                                                       size_t e, size_t o, size_t i);

/* --- swiglu --- */

/* Overwrites `act` (N, F). `gate_up` (N, 2F), `combine_weights` (T, K), `slot_of_row` (N). */
BOWLINE_API int bowline_swiglu_forward(bowline_device* device, float* act, const float* gate_up,
                                       const float* combine_weights, const int32_t* slot_of_row, size_t n, size_t f);
/* In place: `d_act` (N, F) becomes the activation, `gate_up` (N, 2F) its gradient. Overwrites `d_combine_weights` (T, K).
 * `combine_weights` (T, K). */
BOWLINE_API int bowline_swiglu_backward(bowline_device* device, float* d_act, float* gate_up, float* d_combine_weights,
                                        const float* combine_weights, const int32_t* slot_of_row, size_t n, size_t f);

/* --- cross_entropy: `*host_bad` is the first place of a target of V or more, and nothing is written; else T --- */

/* Overwrites `losses` (T). `h` (T, D), `w` (V, D), `targets` (T), negative for none. */
BOWLINE_API int bowline_cross_entropy_forward(bowline_device* device, float* losses, size_t* host_bad, const float* h,
                                              const float* w, const int32_t* targets, size_t t, size_t v, size_t d);
/* Overwrites `losses` (T) and `d_h` (T, D), adds into `d_w` (V, D): gradients of `grad_scale * sum(losses)`. */
BOWLINE_API int bowline_cross_entropy_forward_backward(bowline_device* device, float* losses, float* d_h, float* d_w,
                                                       size_t* host_bad, const float* h, const float* w,
                                                       const int32_t* targets, float grad_scale, size_t t, size_t v,
                                                       size_t d);

/* --- optimizers --- */

/* Updates `w`, `m`, `v` (n); reads `g` (n). `update` counts from 1. */
BOWLINE_API int bowline_adamw_step(bowline_device* device, float* w, float* m, float* v, const float* g, size_t n,
                                   float lr, float beta1, float beta2, float eps, float weight_decay, uint64_t update,
                                   float grad_scale);
/* Updates `w`, `m`: `count` matrices (rows, cols) one after the other; reads `g`. */
BOWLINE_API int bowline_muon_step(bowline_device* device, float* w, float* m, const float* g, size_t count, size_t rows,
                                  size_t cols, float lr, float momentum, float weight_decay,
                                  uint32_t newton_schulz_steps, float grad_scale);

#ifdef __cplusplus
}
#endif
