/** Reading safetensors files: an 8-byte little-endian header length, a JSON header, then the values. */

/** A tensor of a file. */
export interface Tensor<T extends Float32Array | Int32Array = Float32Array<ArrayBuffer>> {
  readonly shape: readonly number[];
  readonly values: T;
}

type Entry = { dtype: string; shape: number[] } & Record<"data_offsets", [number, number]>;

/** The f32 and i32 tensors of a file, by name. */
export class Tensors {
  readonly #header: Record<string, Entry>;
  readonly #body: ArrayBuffer;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    this.#header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    this.#body = bytes.slice(8 + length).buffer;
  }

  /** Names that begin with `prefix`, without it. */
  names(prefix: string): string[] {
    return Object.keys(this.#header).filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  }

  /** The shape of a tensor. */
  shape(name: string): readonly number[] {
    return this.#entry(name).shape;
  }

  /** A tensor of f32. */
  f32(name: string): Tensor {
    const { shape, data_offsets: [from, to] } = this.#entry(name, "F32");
    return { shape, values: new Float32Array(this.#body.slice(from, to)) };
  }

  /** A tensor of i32. */
  i32(name: string): Tensor<Int32Array<ArrayBuffer>> {
    const { shape, data_offsets: [from, to] } = this.#entry(name, "I32");
    return { shape, values: new Int32Array(this.#body.slice(from, to)) };
  }

  #entry(name: string, dtype?: string): Entry {
    const entry = this.#header[name];
    if (!entry) throw new RangeError(`Cannot find the tensor "${name}"`);
    if (dtype && entry.dtype !== dtype) {
      throw new TypeError(`Cannot read the tensor "${name}": it is ${entry.dtype}, wanted ${dtype}`);
    }
    return entry;
  }
}
