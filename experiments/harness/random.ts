/** Python's `random.Random`: the Mersenne Twister MT19937 and what CPython 3.8 to 3.13 make of its numbers. */

const N = 624;
const M = 397;

/** A generator seeded with an integer from 0 to 2^53. */
export class PythonRandom {
  readonly #state = new Uint32Array(N);
  #index = N;

  /** `random.Random(seed)`. */
  constructor(seed: number) {
    const key = seed < 2 ** 32 ? [seed] : [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
    this.#seed(key);
  }

  /** 32 random bits. */
  uint32(): number {
    if (this.#index === N) this.#refill();
    let y = this.#state[this.#index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** `getrandbits(bits)` for 1 to 32 bits. */
  bits(bits: number): number {
    return this.uint32() >>> (32 - bits);
  }

  /** An integer from 0 to below `n`, `n` at least 1: `_randbelow`. */
  below(n: number): number {
    const bits = 32 - Math.clz32(n);
    let value = this.bits(bits);
    while (value >= n) value = this.bits(bits);
    return value;
  }

  /** `random()`: 53 bits from 0 to below 1. */
  random(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** `sample(range(n), k)`: `k` different indices, in the order drawn. */
  sample(n: number, k: number): number[] {
    const setSize = 21 + (k > 5 ? 4 ** Math.ceil(Math.log(3 * k) / Math.log(4)) : 0);
    if (n <= setSize) {
      const pool = Array.from({ length: n }, (_, i) => i);
      return Array.from({ length: k }, (_, i) => {
        const at = this.below(n - i);
        const drawn = pool[at]!;
        pool[at] = pool[n - i - 1]!;
        return drawn;
      });
    }
    const drawn = new Set<number>();
    while (drawn.size < k) drawn.add(this.below(n));
    return [...drawn];
  }

  /** `choices(range(n), k=k)`: `k` indices that may repeat. */
  choices(n: number, k: number): number[] {
    return Array.from({ length: k }, () => Math.floor(this.random() * n));
  }

  /** init_by_array of the reference implementation. */
  #seed(key: readonly number[]): void {
    const mt = this.#state;
    mt[0] = 19650218;
    for (let i = 1; i < N; i++) mt[i] = Math.imul(1812433253, mt[i - 1]! ^ (mt[i - 1]! >>> 30)) + i;
    let [i, j] = [1, 0];
    const next = () => {
      if (++i < N) return;
      mt[0] = mt[N - 1]!;
      i = 1;
    };
    for (let k = Math.max(N, key.length); k > 0; k--) {
      mt[i] = (mt[i]! ^ Math.imul(mt[i - 1]! ^ (mt[i - 1]! >>> 30), 1664525)) + key[j]! + j;
      next();
      j = (j + 1) % key.length;
    }
    for (let k = N - 1; k > 0; k--) {
      mt[i] = (mt[i]! ^ Math.imul(mt[i - 1]! ^ (mt[i - 1]! >>> 30), 1566083941)) - i;
      next();
    }
    mt[0] = 0x80000000;
  }

  #refill(): void {
    const mt = this.#state;
    for (let i = 0; i < N; i++) {
      const y = (mt[i]! & 0x80000000) | (mt[(i + 1) % N]! & 0x7fffffff);
      mt[i] = mt[(i + M) % N]! ^ (y >>> 1) ^ ((y & 1) === 0 ? 0 : 0x9908b0df);
    }
    this.#index = 0;
  }
}
