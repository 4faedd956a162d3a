/** Work that needs no model in memory: on data, and on checkpoints of other programs. */
import type { Plan } from "../../experiments/mod.ts";
import { core, readJson, utf8 } from "./library.ts";
import { Stats } from "./stats.ts";
import { Status } from "./status.ts";

/** Where sources are and how they are read, as in a plan's `data`. */
export interface SourcesRequest {
  /** The sources. */
  readonly sources: Plan["data"]["sources"];
  /** Shorter documents are skipped and counted. */
  readonly minCharacters: number;
  /** What to do with a record that cannot be read. */
  readonly onBadRecord: "stop" | "skip";
  /** Folder for what is fetched and prepared. */
  readonly cacheDir: string;
}

/** What is to be done. */
export type JobRequest =
  | (SourcesRequest & {
    readonly job: "inspect";
    /** Counts the tokens of each document, too; null: characters only. */
    readonly tokenizer: Plan["data"]["tokenizer"] | null;
    readonly separator: string;
    /** Documents shown of each source. */
    readonly rows: number;
    /** Documents read of each source; null: all. */
    readonly limit: number | null;
  })
  | (SourcesRequest & {
    readonly job: "tokenize";
    readonly tokenizer: Plan["data"]["tokenizer"];
    readonly separator: string;
    readonly separatorPlacement: "before" | "after" | "none";
    /** Folder of the shards. */
    readonly out: string;
    /** Tokens of a shard. */
    readonly shardTokens: number;
    /** Go on after the last whole shard. */
    readonly isResuming: boolean;
  })
  | (SourcesRequest & {
    readonly job: "train-tokenizer";
    readonly vocab: number;
    readonly separator: string;
    /** Text read at most, in bytes. */
    readonly maxBytes: number;
    /** Where tokenizer.json is written. */
    readonly out: string;
  })
  | {
    readonly job: "verify";
    /** A folder of shards. */
    readonly folder: string;
  }
  | {
    readonly job: "rows";
    /** Files, folders, globs and addresses of a hub. */
    readonly paths: readonly string[];
    /** Folder for what is fetched. */
    readonly cacheDir: string;
  }
  | {
    readonly job: "import";
    /** Folder of safetensors files. */
    readonly folder: string;
    /** Whose names its tensors have. */
    readonly family: "olmoe" | "qwen3_moe" | "mixtral" | "bowline";
    /** A plan of the same model, as JSON. */
    readonly plan: string;
    /** Whether the folder's tokenizer.json is the run's. */
    readonly hasTokenizer: boolean;
    /** The run folder to make. */
    readonly out: string;
    /** Other files of the run folder: name and content. */
    readonly files: Readonly<Record<string, string>>;
  }
  | {
    readonly job: "export";
    /** Folder of the checkpoint. */
    readonly checkpoint: string;
    /** Whose names the tensors get; `bowline` is the compact form. */
    readonly family: "olmoe" | "qwen3_moe" | "mixtral" | "bowline";
    /** Type of the numbers; bf16 is rounded to the nearest, ties to even. */
    readonly dtype: "f32" | "bf16";
    /** Most bytes of numbers in a file. */
    readonly shardBytes: number;
    /** What config.json says of the model; the type and the tokenizer's ids are added. */
    readonly config: Readonly<Record<string, unknown>>;
    /** The folder to make. */
    readonly out: string;
  };

/** Records of a source: those that became documents, and why others did not. */
export interface RecordCounts {
  readonly documents: number;
  /** Fewer characters than wanted. */
  readonly short: number;
  /** Null, or an empty list. */
  readonly empty: number;
  /** Could not be read, and were skipped. */
  readonly bad: number;
}

/** What `inspect` found. */
export interface InspectReport {
  readonly sources: readonly (RecordCounts & {
    readonly name: string;
    readonly files: readonly { readonly name: string; readonly bytes: number }[];
    /** Full paths of all columns of text; none where a file has no columns. */
    readonly columns: readonly string[];
    /** Whether `limit` ended it. */
    readonly isPart: boolean;
    /** Characters of a document; null without documents. */
    readonly characters: {
      readonly least: number;
      readonly median: number;
      readonly mean: number;
      readonly most: number;
    } | null;
    /** Bytes of text, UTF-8. */
    readonly bytes: number;
    /** Tokens of the text, separators aside; null without a tokenizer. */
    readonly tokens: number | null;
    /** Beginnings of the first documents. */
    readonly first: readonly string[];
  })[];
}

/** What `tokenize` did. */
export interface TokenizeReport extends RecordCounts {
  readonly shards: number;
  /** Shards that were there before. */
  readonly kept: number;
  readonly tokens: number;
}

/** What `train-tokenizer` did. */
export interface TrainTokenizerReport {
  readonly vocab: number;
  readonly documents: number;
  /** Bytes of text that it was trained on. */
  readonly bytes: number;
}

/** What `verify` found. */
export interface VerifyReport {
  readonly shards: number;
  readonly tokens: number;
  readonly documents: number;
  /** Whether the last shard was written. */
  readonly isComplete: boolean;
  /** What is wrong, a line each. */
  readonly faults: readonly string[];
}

/** What `rows` read: all rows of all files, in order. */
export interface RowsReport {
  readonly files: readonly { readonly name: string; readonly rows: number }[];
  readonly rows: readonly unknown[];
}

/** What `import` read. */
export interface ImportReport {
  readonly tensors: number;
  /** Numbers in the model, each bank once. */
  readonly parameters: number;
  /** How the experts were stored: a matrix each, or all in one tensor. */
  readonly form: "per-expert" | "fused";
  /** Types that the numbers had. */
  readonly dtypes: readonly string[];
  /** The checkpoint's folder. */
  readonly checkpoint: string;
}

/** What `export` wrote. */
export interface ExportReport {
  readonly tensors: number;
  /** Numbers in them. */
  readonly parameters: number;
  /** Bytes of those. */
  readonly bytes: number;
  /** Steps that the model was trained. */
  readonly step: number;
  /** Names of the files. */
  readonly files: readonly string[];
  /** Whether a tokenizer is among them. */
  readonly hasTokenizer: boolean;
}

/** The report of each job. */
export interface JobReports {
  "inspect": InspectReport;
  "tokenize": TokenizeReport;
  "train-tokenizer": TrainTokenizerReport;
  "verify": VerifyReport;
  "rows": RowsReport;
  "import": ImportReport;
  "export": ExportReport;
}

/** How to run a job. */
export interface JobOptions {
  /** Stops the job; the promise then rejects with the code `cancelled`. */
  readonly signal?: AbortSignal;
  /** Called now and then with how far it is, 0 to 1. */
  readonly onProgress?: (done: number) => void;
  /** Parses the report in place of `JSON.parse`. */
  readonly parse?: (text: string) => unknown;
}

const REFRESH_MS = 100;

/** Runs a job and returns its report. */
export function runJob<R extends JobRequest>(request: R, options: JobOptions = {}): Promise<JobReports[R["job"]]> {
  const text = utf8(JSON.stringify(request));
  return finishJob((status) => core().bowline_job_new(text, text.length, status), options);
}

/** Runs the job that `create` makes, and frees it. */
export async function finishJob<T>(
  create: (status: Uint8Array<ArrayBuffer>) => number,
  { signal, onProgress, parse }: JobOptions = {},
): Promise<T> {
  const created = new Status();
  const job = create(created.bytes);
  created.check();
  const stats = new Stats();
  const cancel = () => void core().bowline_cancel(job);
  const timer = onProgress && setInterval(() => onProgress(stats.read("progress")), REFRESH_MS);
  signal?.addEventListener("abort", cancel);
  try {
    if (signal?.aborted) cancel();
    const status = new Status();
    await core().bowline_job_run(job, stats.block, status.bytes);
    status.check();
    return readJson((out, status) => core().bowline_job_report(job, out, out.length, status), parse);
  } finally {
    signal?.removeEventListener("abort", cancel);
    clearInterval(timer);
    core().bowline_free(job);
  }
}
