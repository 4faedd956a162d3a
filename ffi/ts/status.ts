/** How the core reports failure: a block owned by the caller, because each call may run on another thread. */

/** What can go wrong in the core, in the order of its codes from 1. */
export const CORE_CODES = [
  "invalid-argument",
  "bad-handle",
  "cancelled",
  "data",
  "checkpoint",
  "file",
  "not-finite",
  "internal",
  "panic",
  "device",
] as const;

/** What went wrong, for programs to branch on. */
export type ErrorCode = typeof CORE_CODES[number] | "library" | "busy";

/** Codes that are the user's mistake, and the interruption; every other failure of a run exits with 1. */
const EXIT_CODES: Partial<Record<ErrorCode, number>> = {
  "invalid-argument": 2,
  "data": 2,
  "checkpoint": 2,
  "cancelled": 130,
};

/** A failure reported by the core, or by the code that talks to it. */
export class BowlineError extends Error {
  /** What went wrong. */
  readonly code: ErrorCode;

  /** Makes an error with a code and a message of one line. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "BowlineError";
    this.code = code;
  }

  /** Process exit code of a program that ends with this error: 2 user mistake, 1 failure, 130 interruption. */
  get exitCode(): number {
    return EXIT_CODES[this.code] ?? 1;
  }
}

const BYTES = 1024;
const HEADER_BYTES = 8;

/** `struct Status { int32_t code; uint32_t len; uint8_t msg[1016]; }`: one for each call. */
export class Status {
  /** The block, to be passed to the core. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(BYTES);

  /** Throws what the core reported; does nothing after success. */
  check(): void {
    const view = new DataView(this.bytes.buffer);
    const code = view.getInt32(0, true);
    if (code === 0) return;
    const text = this.bytes.subarray(HEADER_BYTES, HEADER_BYTES + view.getUint32(4, true));
    throw new BowlineError(CORE_CODES[code - 1] ?? "internal", new TextDecoder().decode(text));
  }
}
