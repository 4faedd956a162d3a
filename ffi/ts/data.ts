/** What a trainer is told of its data, and what it tells of it. */

/** What training data consists of. */
export interface DataRequest {
  /** Absolute paths of the text files, in the order they are read. */
  readonly files: readonly string[];
  /** Absolute path of a folder for the tokenizer and the tokens, so that they are made once. */
  readonly cacheDir: string;
  /** Those of an earlier {@linkcode StreamInfo}, for a run that goes on; other revisions are looked up. */
  readonly commits?: Readonly<Record<string, string>>;
}

/** What was found in the training data. */
export type DataInfo = CorpusInfo | StreamInfo;

/** What text is that was prepared as a whole. */
export interface CorpusInfo {
  /** It was read as a whole. */
  readonly kind: "corpus";
  /** Documents used. */
  readonly documents: number;
  /** Documents left out because they are too short. */
  readonly skipped: number;
  /** Tokens trained on in one pass over the data. */
  readonly trainTokens: number;
  /** Tokens kept for evaluation. */
  readonly heldOutTokens: number;
  /** Training tokens at the end that fill no window. */
  readonly droppedTokens: number;
  /** Bytes of text that the held-out tokens stand for. */
  readonly heldOutBytes: number;
  /** Training windows in one pass over the data. */
  readonly windows: number;
  /** Tokens that the tokenizer knows. */
  readonly vocab: number;
  /** Where the tokenizer is stored. */
  readonly tokenizerFile: string;
  /** Held-out loss of an add-one bigram counted on the training tokens: what any model must beat. */
  readonly bigramLoss: number;
}

/** What is known of data that is streamed. */
export interface StreamInfo {
  /** It is read as training goes on. */
  readonly kind: "stream";
  /** The sources of the mixture. */
  readonly sources: readonly SourceInfo[];
  /** What revisions of datasets on a hub stood for, by `hf://datasets/<owner>/<name>@<revision>`. */
  readonly commits: Readonly<Record<string, string>>;
  /** Tokens that the tokenizer knows. */
  readonly vocab: number;
  /** Where the tokenizer is stored. */
  readonly tokenizerFile: string;
}

/** A source of a stream: what it is, and what was read of it up to the last step. */
export interface SourceInfo {
  /** Its name in the manifest. */
  readonly name: string;
  /** Share of the documents drawn. */
  readonly share: number;
  /** Number of files. */
  readonly files: number;
  /** Their length. */
  readonly bytes: number;
  /** Times that it was read to its end. */
  readonly epochs: number;
  /** Documents used, over all epochs. */
  readonly documents: number;
  /** Records left out because they are shorter than `data.minCharacters`. */
  readonly short: number;
  /** Records left out because they are null or an empty list. */
  readonly empty: number;
  /** Records left out because they cannot be read. */
  readonly bad: number;
}
