/** Checked reading of a Hugging Face `config.json`, which is untrusted: each value is what it must be, or an error names its key. */
import { type ManifestError, unusable } from "./errors.ts";

/** The most that a size may be; larger ones are damage, and would ask for memory before the tensors tell. */
const MOST = 2 ** 24;
/** The most sites. */
export const MOST_SITES = 4096;
/** The most experts of a site. */
export const MOST_EXPERTS = 2 ** 16;

/** The error for an option whose value asks for a computation that is missing here. */
export function unsupported(key: string, is: unknown, wanted: unknown): ManifestError {
  return unusable(key, is, `${JSON.stringify(wanted)}: Bowline does not have anything else yet`);
}

/** Checked reading of the keys of an object; a key that is null counts as missing where it may be. */
export class Config {
  readonly #json: Record<string, unknown>;
  readonly #below: string;

  /** Reads an object; `below` stands before its keys in errors. */
  constructor(json: Record<string, unknown>, below = "") {
    this.#json = json;
    this.#below = below;
  }

  /** The value of a key of its own. */
  get(key: string): unknown {
    return Object.hasOwn(this.#json, key) ? this.#json[key] : undefined;
  }

  /** The names of its keys. */
  keys(): string[] {
    return Object.keys(this.#json);
  }

  /** The object under a key; an empty one where it is missing. */
  object(key: string): Config {
    const value = this.get(key) ?? {};
    if (typeof value !== "object" || Array.isArray(value)) {
      throw unusable(this.#below + key, value, "an object or null");
    }
    return new Config(value as Record<string, unknown>, `${this.#below}${key}.`);
  }

  /** One of some words. */
  choice<const T extends string>(key: string, words: readonly T[]): T {
    const word = words.find((word) => word === this.get(key));
    if (word === undefined) throw unusable(this.#below + key, this.get(key), `one of ${words.join(", ")}`);
    return word;
  }

  /** A size under one of several spellings, which must agree. */
  size(keys: string | readonly string[], most = MOST): number {
    const names = [keys].flat();
    const given = names.filter((key) => this.get(key) !== undefined && this.get(key) !== null);
    for (const key of given.length > 0 ? given : names) {
      const value = this.get(key);
      if (!Number.isSafeInteger(value) || Number(value) < 1 || Number(value) > most) {
        throw unusable(this.#below + key, value, `an integer from 1 to ${most}`);
      }
      if (value !== this.get(given[0]!)) throw unusable(key, value, `the same as ${given[0]} (${this.get(given[0]!)})`);
    }
    return Number(this.get(given[0]!));
  }

  /** A size, or null. */
  optionalSize(key: string): number | null {
    return (this.get(key) ?? null) === null ? null : this.size(key);
  }

  /** A positive number. */
  positive(key: string): number {
    const value = this.get(key);
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
      throw unusable(this.#below + key, value, "a positive finite number");
    }
    return value;
  }

  /** A positive number, or null. */
  optionalPositive(key: string): number | null {
    return (this.get(key) ?? null) === null ? null : this.positive(key);
  }

  /** True or false; false where it is missing, as in the classes that are read here. */
  flag(key: string): boolean {
    const value = this.get(key) ?? false;
    if (typeof value !== "boolean") throw unusable(this.#below + key, value, "true or false");
    return value;
  }
}
