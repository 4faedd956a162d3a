/** The JSON files of a Hugging Face checkpoint: what its model is, and which token separates documents. */
import { ValidationError } from "@cliffy/command";
import { join } from "@std/path";
import { ManifestError } from "../../experiments/errors.ts";
import { type ForeignModel, readConfig } from "../../experiments/huggingface.ts";

/** What a checkpoint's JSON files say. */
export interface CheckpointModel extends ForeignModel {
  /** Text of the token that separates documents; undefined where nothing says it. */
  separator: string | undefined;
  /** Whether there is a tokenizer.json. */
  hasTokenizer: boolean;
}

/**
 * Reads config.json and tokenizer.json of a folder; `separator` is what the caller wants in place of the end token.
 *
 * @throws {ValidationError} that names the file, if it is missing, damaged, or means something that is not supported.
 */
export async function readModel(folder: string, separator?: string): Promise<CheckpointModel> {
  const path = join(folder, "config.json");
  const config = await readJson(path);
  if (config === undefined) {
    throw new ValidationError(`Cannot import ${folder}: it has no config.json, wanted the folder of a model`);
  }
  const model = within(path, () => readConfig(config));
  const file = join(folder, "tokenizer.json");
  const tokenizer = await readJson(file);
  const hasTokenizer = tokenizer !== undefined;
  const found = hasTokenizer ? within(file, () => separator ?? tokenOf(tokenizer, model.endToken)) : separator;
  return { ...model, separator: found, hasTokenizer };
}

/**
 * The text of the token `id` of a parsed tokenizer.json.
 *
 * @throws {ManifestError} if there is none.
 */
export function tokenOf(tokenizer: unknown, id: number | null): string {
  const { added_tokens: added, model } = Object(tokenizer);
  const vocab = Object(model).vocab;
  const entries: [unknown, unknown][] = [
    ...(Array.isArray(added)
      ? added.map((token): [unknown, unknown] => [Object(token).content, Object(token).id])
      : []),
    // Of a unigram model, a list of [token, score].
    ...(Array.isArray(vocab)
      ? vocab.map((entry, at): [unknown, unknown] => [Object(entry)[0], at])
      : Object.entries(Object(vocab))),
  ];
  const text = entries.find(([, at]) => id !== null && at === id)?.[0];
  if (typeof text === "string" && text !== "") return text;
  const is = id === null ? "missing" : `${id}, which is no token`;
  throw new ManifestError(`Cannot choose a separator: eos_token_id is ${is}, wanted --separator TEXT`);
}

/** The value in a JSON file, or undefined if there is no such file. */
async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof SyntaxError) {
      throw new ValidationError(`Cannot read ${path}: it is not JSON (${error.message})`);
    }
    if (error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.IsADirectory) {
      throw new ValidationError(`Cannot read ${path}: it is not a file`);
    }
    throw error;
  }
}

/** Says in which file the mistake is. */
function within<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof ManifestError) throw new ValidationError(`${error.message} (${path})`);
    throw error;
  }
}
