/** The files inside an executable that `deno compile` made: a list as JSON and their contents, each after its length. */

/** A file: its path from the root, and its contents. */
export type Embedded = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

interface Entry {
  readonly Dir?: { readonly n: string; readonly e: readonly Entry[] };
  readonly File?: { readonly n: string; readonly o: readonly [offset: number, length: number] };
}

/** Reads them. */
export function embeddedFiles(executable: Uint8Array<ArrayBuffer>): Embedded {
  const view = new DataView(executable.buffer);
  const start = find(executable, '[{"Dir":{"n":');
  const end = start + Number(view.getBigUint64(start - 8, true));
  const contents = end + 8;
  const entries: Entry[] = JSON.parse(new TextDecoder().decode(executable.subarray(start, end)));
  const files = (entries: readonly Entry[], path: string): [string, Uint8Array<ArrayBuffer>][] =>
    entries.flatMap(({ Dir, File }) => {
      if (Dir !== undefined) return files(Dir.e, `${path}${Dir.n}/`);
      if (File === undefined) return []; // a link
      const [offset, length] = File.o;
      return [[`${path}${File.n}`, executable.subarray(contents + offset, contents + offset + length)]];
    });
  return new Map(files(entries, ""));
}

function find(bytes: Uint8Array, text: string): number {
  const wanted = new TextEncoder().encode(text);
  for (let at = bytes.indexOf(wanted[0]!); at >= 0; at = bytes.indexOf(wanted[0]!, at + 1)) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  throw new Error("Cannot read the executable: it has no list of files");
}
