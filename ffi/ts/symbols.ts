/**
 * Symbols of the native core: the one table that mirrors the exported functions of `ffi/src`. Handles are integers and
 * results are copied into the caller's buffers, so no pointer is ever seen here and a path-scoped `--allow-ffi` is enough.
 * Texts and JSON are UTF-8 bytes with their length; `Status` is described in status.ts, `Stats` in stats.ts.
 */

/** The ABI this table was written for; the core must answer the same number. */
export const ABI_VERSION = 5;

/** All functions of the core. */
export const SYMBOLS = {
  bowline_abi_version: { parameters: [], result: "u32" },
  bowline_info: {
    parameters: ["buffer", /* uint8_t* out */ "u32", /* uint32_t cap */ "buffer" /* Status* */],
    result: "u32", /* bytes */
  },
  bowline_probe: { parameters: ["u32" /* uint32_t threads */], result: "f64", /* GFLOP/s */ nonblocking: true },
  bowline_device: {
    parameters: [
      "buffer", /* const uint8_t* device request */
      "u32", /* uint32_t len */
      "buffer", /* uint8_t* out */
      "u32", /* uint32_t cap */
      "buffer", /* Status* */
    ],
    result: "u32", /* bytes */
  },
  bowline_memory: {
    parameters: [
      "buffer", /* const uint8_t* request */
      "u32", /* uint32_t len */
      "buffer", /* uint8_t* out */
      "u32", /* uint32_t cap */
      "buffer", /* Status* */
    ],
    result: "u32", /* bytes */
  },
  bowline_free: { parameters: ["u32" /* any handle */], result: "bool" },
  bowline_cancel: { parameters: ["u32" /* any handle */], result: "bool" },

  bowline_trainer_new: {
    parameters: [
      "buffer", /* const uint8_t* plan */
      "u32", /* uint32_t len */
      "buffer", /* const uint8_t* device request */
      "u32", /* uint32_t len */
      "buffer", /* Status* */
    ],
    result: "u32", /* handle or 0 */
  },
  bowline_trainer_device: {
    parameters: ["u32", /* trainer */ "buffer", /* uint8_t* out */ "u32", /* uint32_t cap */ "buffer" /* Status* */],
    result: "u32", /* bytes */
  },
  bowline_trainer_memory: {
    parameters: ["u32", /* trainer */ "buffer", /* uint8_t* out */ "u32", /* uint32_t cap */ "buffer" /* Status* */],
    result: "u32", /* bytes */
  },
  bowline_place: {
    parameters: ["buffer", /* uint8_t* out */ "u32", /* uint32_t cap */ "buffer" /* Status* */],
    result: "u32", /* bytes */
  },
  bowline_trainer_ranks: {
    parameters: ["u32", /* trainer */ "buffer", /* uint8_t* out */ "u32", /* uint32_t cap */ "buffer" /* Status* */],
    result: "u32", /* bytes */
  },
  bowline_trainer_leave: {
    parameters: ["u32", /* trainer */ "buffer" /* Status* */],
    result: "i32",
    nonblocking: true,
  },
  bowline_trainer_fail: {
    parameters: [
      "u32", /* trainer */
      "buffer", /* const uint8_t* reason */
      "u32", /* uint32_t len */
      "buffer", /* Status* */
    ],
    result: "i32",
  },
  bowline_trainer_attach_data: {
    parameters: [
      "u32", /* trainer */
      "buffer", /* const uint8_t* request */
      "u32", /* uint32_t len */
      "buffer", /* Stats* */
      "buffer", /* Status* */
    ],
    result: "i32",
    nonblocking: true,
  },
  bowline_trainer_data_info: {
    parameters: ["u32", /* trainer */ "buffer", /* uint8_t* out */ "u32", /* uint32_t cap */ "buffer" /* Status* */],
    result: "u32", /* bytes */
  },
  bowline_trainer_step: {
    parameters: ["u32", /* trainer */ "buffer", /* Stats* */ "buffer" /* Status* */],
    result: "i32",
    nonblocking: true,
  },
  bowline_trainer_step_tokens: {
    parameters: [
      "u32", /* trainer */
      "buffer", /* const int32_t* tokens (accumulation, B, S+1) */
      "u32", /* uint32_t len */
      "buffer", /* Stats* */
      "buffer", /* Status* */
    ],
    result: "i32",
    nonblocking: true,
  },
  bowline_trainer_evaluate: {
    parameters: [
      "u32", /* trainer */
      "u32", /* uint32_t batches, 0 = all */
      "buffer", /* Stats* */
      "buffer", /* Status* */
    ],
    result: "i32",
    nonblocking: true,
  },
  bowline_trainer_evaluate_tokens: {
    parameters: [
      "u32", /* trainer */
      "buffer", /* const int32_t* tokens (n, B, S+1) */
      "u32", /* uint32_t len */
      "buffer", /* Stats* */
      "buffer", /* Status* */
    ],
    result: "i32",
    nonblocking: true,
  },
  bowline_trainer_save: {
    parameters: [
      "u32", /* trainer */
      "buffer", /* const uint8_t* folder */
      "u32", /* uint32_t len */
      "buffer", /* Status* */
    ],
    result: "i32",
    nonblocking: true,
  },
  bowline_trainer_load: {
    parameters: [
      "u32", /* trainer */
      "buffer", /* const uint8_t* folder */
      "u32", /* uint32_t len */
      "buffer", /* Status* */
    ],
    result: "i32",
    nonblocking: true,
  },
  bowline_trainer_load_weights: {
    parameters: [
      "u32", /* trainer */
      "buffer", /* const uint8_t* folder */
      "u32", /* uint32_t len */
      "buffer", /* Status* */
    ],
    result: "i32",
    nonblocking: true,
  },
  bowline_trainer_logits: {
    parameters: [
      "u32", /* trainer */
      "buffer", /* const int32_t* tokens */
      "u32", /* uint32_t len */
      "buffer", /* float* out */
      "u32", /* uint32_t cap */
      "buffer", /* Status* */
    ],
    result: "u32", /* elements */
    nonblocking: true,
  },
  bowline_trainer_read: {
    parameters: [
      "u32", /* trainer */
      "buffer", /* const uint8_t* request */
      "u32", /* uint32_t len */
      "buffer", /* float* out */
      "u32", /* uint32_t cap, 0 = only count */
      "buffer", /* Status* */
    ],
    result: "u32", /* elements */
  },
  bowline_trainer_write: {
    parameters: [
      "u32", /* trainer */
      "buffer", /* const uint8_t* name */
      "u32", /* uint32_t len */
      "buffer", /* const float* data */
      "u32", /* uint32_t count */
      "buffer", /* Status* */
    ],
    result: "i32",
  },
  bowline_trainer_parameters: {
    parameters: ["u32", /* trainer */ "buffer", /* uint8_t* out */ "u32", /* uint32_t cap */ "buffer" /* Status* */],
    result: "u32", /* bytes */
  },

  bowline_job_new: {
    parameters: ["buffer", /* const uint8_t* request */ "u32", /* uint32_t len */ "buffer" /* Status* */],
    result: "u32", /* handle or 0 */
  },
  bowline_job_run: {
    parameters: ["u32", /* job */ "buffer", /* Stats* */ "buffer" /* Status* */],
    result: "i32",
    nonblocking: true,
  },
  bowline_job_report: {
    parameters: ["u32", /* job */ "buffer", /* uint8_t* out */ "u32", /* uint32_t cap */ "buffer" /* Status* */],
    result: "u32", /* bytes */
  },

  bowline_model_open: {
    parameters: [
      "buffer", /* const uint8_t* folder */
      "u32", /* uint32_t len */
      "buffer", /* const uint8_t* device request */
      "u32", /* uint32_t len */
      "buffer", /* Status* */
    ],
    result: "u32", /* handle or 0 */
    nonblocking: true,
  },
  bowline_model_device: {
    parameters: ["u32", /* model */ "buffer", /* uint8_t* out */ "u32", /* uint32_t cap */ "buffer" /* Status* */],
    result: "u32", /* bytes */
  },
  bowline_score_new: {
    parameters: [
      "u32", /* model */
      "buffer", /* const uint8_t* request */
      "u32", /* uint32_t len */
      "buffer", /* Status* */
    ],
    result: "u32", /* job or 0 */
  },
  bowline_generator_new: {
    parameters: [
      "u32", /* model */
      "buffer", /* const uint8_t* request */
      "u32", /* uint32_t len */
      "buffer", /* Status* */
    ],
    result: "u32", /* handle or 0 */
  },
  bowline_generator_next: {
    parameters: [
      "u32", /* generator */
      "u32", /* uint32_t max_tokens */
      "buffer", /* uint8_t* out */
      "u32", /* uint32_t cap */
      "buffer", /* Status* */
    ],
    result: "u32", /* bytes, 0 = finished */
    nonblocking: true,
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** The opened library. */
export type Library = Deno.DynamicLibrary<typeof SYMBOLS>;
