/** A kernel library called directly, for what the core has no function for: its name, memory, and the time of one op. */

/** BOWLINE_KERNELS_ABI of the header that the table was written for. */
export const ABI = 4;

/** The functions that are called. */
export const SYMBOLS = {
  bowline_kernels_abi: { parameters: [], result: "u32" },
  bowline_open: { parameters: ["buffer", /* bowline_device ** */ "u32"], result: "i32" },
  bowline_close: { parameters: ["usize" /* bowline_device * */], result: "i32" },
  bowline_error: { parameters: ["usize", "buffer", /* char * */ "usize"], result: "i32" },
  bowline_set_precision: { parameters: ["usize", "i32"], result: "i32" },
  bowline_info: {
    parameters: [
      "usize",
      "buffer", /* char * name */
      "usize",
      "buffer", /* u64 * total */
      "buffer", /* u64 * free */
      "buffer", /* i32 * driver */
    ],
    result: "i32",
  },
  bowline_alloc: { parameters: ["usize", "buffer", /* void ** */ "usize"], result: "i32" },
  bowline_release: { parameters: ["usize", "usize" /* void * */], result: "i32" },
  bowline_upload: { parameters: ["usize", "usize", "buffer", "usize"], result: "i32" },
  bowline_download: { parameters: ["usize", "buffer", "usize", "usize"], result: "i32" },
  bowline_fill: { parameters: ["usize", "usize", "f32", "usize"], result: "i32" },
  bowline_grouped_linear_forward: {
    parameters: [
      "usize",
      "usize", /* out */
      "usize", /* x */
      "usize", /* w */
      "usize", /* offsets */
      "usize", /* most_rows */
      "usize", /* e */
      "usize", /* o */
      "usize", /* i */
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** Rows and matrices of a grouped product. */
export interface GroupedSize {
  /** Rows. */
  readonly n: number;
  /** Experts. */
  readonly e: number;
  /** Columns of the output. */
  readonly o: number;
  /** Columns of the input. */
  readonly i: number;
}

/** An open device. */
export class Card implements Disposable {
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  readonly #device: bigint;

  /**
   * Opens the first device of a library.
   *
   * @throws {RangeError} if the library is of another version, or there is no driver, or no device.
   */
  constructor(library: string) {
    this.#library = Deno.dlopen(library, SYMBOLS);
    const abi = this.#library.symbols.bowline_kernels_abi();
    if (abi !== ABI) throw new RangeError(`Cannot use ${library}: its version is ${abi}; wanted ${ABI}`);
    const device = new BigUint64Array(1);
    const status = this.#library.symbols.bowline_open(device, 0);
    this.#device = device[0]!;
    if (status !== 0) throw new RangeError(this.#reason());
  }

  /** Its name, and bytes of memory in all and free. */
  info(): { name: string; total: number; free: number } {
    const [name, total, free] = [new Uint8Array(256), new BigUint64Array(1), new BigUint64Array(1)];
    const driver = new Int32Array(1);
    this.#check(this.#library.symbols.bowline_info(this.#device, name, 256n, total, free, driver));
    return { name: text(name), total: Number(total[0]), free: Number(free[0]) };
  }

  /** Seconds of one product of rows that are spread evenly over the experts, the mean of `repeats`. */
  timeGrouped({ n, e, o, i }: GroupedSize, precision: "f32" | "bf16", repeats: number): number {
    const { symbols } = this.#library;
    const bytes = [n * o, n * i, e * o * i, e + 1].map((count) => 4 * count);
    const [out, x, w, offsets] = bytes.map((bytes) => this.#alloc(bytes)) as [bigint, bigint, bigint, bigint];
    const firstRows = Int32Array.from({ length: e + 1 }, (_, expert) => Math.floor(expert * n / e));
    this.#check(symbols.bowline_upload(this.#device, offsets, firstRows, BigInt(firstRows.byteLength)));
    this.#check(symbols.bowline_fill(this.#device, x, 0.5, BigInt(n * i)));
    this.#check(symbols.bowline_fill(this.#device, w, 0.25, BigInt(e * o * i)));
    this.#check(symbols.bowline_set_precision(this.#device, precision === "bf16" ? 1 : 0));
    const last = new Float32Array(1);
    const run = (count: number) => {
      const start = performance.now();
      for (let k = 0; k < count; k++) {
        const dims = [n, e, o, i].map(BigInt) as [bigint, bigint, bigint, bigint];
        this.#check(symbols.bowline_grouped_linear_forward(this.#device, out, x, w, offsets, ...dims));
      }
      this.#check(symbols.bowline_download(this.#device, last, out + BigInt(4 * (n * o - 1)), 4n)); // waits
      return (performance.now() - start) / 1000 / count;
    };
    run(1);
    const seconds = run(repeats);
    // exact in either precision: powers of two, and fewer than 2^24 of them
    if (last[0] !== 0.125 * i) {
      throw new Error(`Cannot time a product that is wrong: got ${last[0]}, want ${0.125 * i}`);
    }
    for (const memory of [out, x, w, offsets]) this.#check(symbols.bowline_release(this.#device, memory));
    return seconds;
  }

  /** Closes the device; the library stays open. */
  [Symbol.dispose](): void {
    this.#check(this.#library.symbols.bowline_close(this.#device));
  }

  #alloc(bytes: number): bigint {
    const memory = new BigUint64Array(1);
    this.#check(this.#library.symbols.bowline_alloc(this.#device, memory, BigInt(bytes)));
    return memory[0]!;
  }

  #check(status: number): void {
    if (status !== 0) throw new Error(this.#reason());
  }

  #reason(): string {
    const reason = new Uint8Array(512);
    this.#library.symbols.bowline_error(this.#device, reason, 512n);
    return text(reason);
  }
}

/** A zero-terminated text. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.subarray(0, end < 0 ? bytes.length : end));
}
