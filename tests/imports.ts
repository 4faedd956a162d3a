/** The import map of the program without links and workspaces, for a copy of its sources with nothing around it. */
import { join } from "@std/path";

const root = new URL("..", import.meta.url).pathname;

/** Names that sources import, and what they are. */
export async function plainImports(): Promise<Record<string, string>> {
  const read = async (path: string) => JSON.parse(await Deno.readTextFile(join(root, path, "deno.json")));
  const program = await read(".");
  const map: Record<string, string> = { ...program.imports, [program.name]: program.exports };
  for (const link of program.links) {
    const { name, imports } = await read(link);
    Object.assign(map, imports, { [name]: `${link}/mod.ts` });
  }
  return map;
}
