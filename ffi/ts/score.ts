/** What a model can be asked to score, and what it answers. */

/** How a context and its continuation become tokens: as one text, or each on its own. */
export type Tokenization = "joint" | "split";

/** The token before a text: what the tokenizer's file says, always the separator, or none. */
export type Bos = "auto" | "always" | "never";

/** What is to be scored. */
export interface ScoreRequest {
  /** How texts become tokens. */
  readonly tokenization: Tokenization;
  /** What stands before them. */
  readonly bos: Bos;
  /** Contexts with their continuations; the work on a context is shared. */
  readonly prompts: readonly { readonly context: string; readonly continuations: readonly string[] }[];
  /** Whole texts, scored by windows of the model's length that follow each other. */
  readonly texts: readonly string[];
}

/** Scores in the order of the request. The same request has the same bits, whatever else is asked and on how many threads. */
export interface ScoreReport {
  /** Of each continuation of each prompt: log-likelihood in nats, and whether each of its tokens was the likeliest. */
  readonly prompts: readonly (readonly { readonly logLikelihood: number; readonly isGreedy: boolean }[])[];
  /** Log-likelihood of each text in nats. */
  readonly texts: readonly number[];
  /** Tokens that the model read. */
  readonly tokens: number;
}
