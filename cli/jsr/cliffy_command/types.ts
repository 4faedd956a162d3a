/** How the text of an option or argument becomes a TypeScript type: `"--steps <n:integer>"` gives `{ steps?: number }`. */

/** The value types known to every command. */
export interface Builtins {
  string: string;
  file: string;
  number: number;
  integer: number;
  boolean: boolean;
}

/** What may be said about an option. */
export interface OptionSpec {
  default?: unknown;
  required?: boolean;
  collect?: boolean;
  hidden?: boolean;
}

/** What a command does. */
export type Action<O, A extends unknown[]> = (options: Simplify<O>, ...args: A) => void | Promise<void>;
/** The options object that a flag text adds to. */
export type OptionOf<F extends string, S, T> = Name<Rest<F>> extends `no-${infer N}` ? { [K in Camel<N>]: boolean }
  : Present<S> extends true ? { [K in Camel<Name<Rest<F>>>]: Collected<Raw<Rest<F>, T>, S> }
  : { [K in Camel<Name<Rest<F>>>]?: Collected<Raw<Rest<F>, T>, S> | undefined };
/** The tuple of positional arguments that an argument text stands for. */
export type ArgumentsOf<S extends string, T> = S extends `${infer W} ${infer R}`
  ? [...ArgumentOf<W, T>, ...ArgumentsOf<R, T>]
  : ArgumentOf<S, T>;

/** An object type written out, so that editors show its fields. */
export type Simplify<T> = { [K in keyof T]: T[K] } & Record<never, never>;
type Camel<S extends string> = S extends `${infer A}-${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
type Value<S extends string, T> = S extends `${string}:${infer N}` ? (N extends keyof T ? T[N] : never) : string;
type Rest<F extends string> = F extends `${string}--${infer R}` ? R : F extends `-${infer R}` ? R : never;
type Name<R extends string> = R extends `${infer N} ${string}` ? N : R;
type Raw<R extends string, T> = R extends `${string} <...${infer V}>` ? [Value<V, T>, ...Value<V, T>[]]
  : R extends `${string} <${infer V}>` ? Value<V, T>
  : R extends `${string} [${infer V}]` ? Value<V, T> | true
  : true;
type Collected<V, S> = S extends { collect: true } ? V[] : V;
type Present<S> = S extends { required: true } | { default: NonNullable<unknown> } ? true : false;
type ArgumentOf<W extends string, T> = W extends `<...${infer V}>` ? [Value<V, T>, ...Value<V, T>[]]
  : W extends `[...${infer V}]` ? Value<V, T>[]
  : W extends `<${infer V}>` ? [Value<V, T>]
  : W extends `[${infer V}]` ? [Value<V, T>?]
  : never;
