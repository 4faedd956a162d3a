/** Unpacking of the libraries that an executable carries, by processes that start for the first time. */
import assert from "node:assert/strict";
import { join } from "@std/path";
import { list, LISTING, unpack } from "../../cli/carried.ts";

const libraries = new Map([
  ["libone.so", Uint8Array.from({ length: 3_000_000 }, (_, i) => i * 7)],
  ["libtwo.so", Uint8Array.from({ length: 1000 }, (_, i) => i)],
]);

/** Lays libraries into a folder as `deno task compile` does. */
async function carry(from: string, carried: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Promise<void> {
  await Deno.mkdir(from);
  for (const [name, bytes] of carried) await Deno.writeFile(join(from, name), bytes);
  await Deno.writeTextFile(join(from, LISTING), JSON.stringify(list(carried)));
}

/** Runs `body` with a folder that carries the libraries, and a cache that is not there yet. */
async function inFolder(body: (from: string, cache: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await carry(join(folder, "carried"), libraries);
    await body(join(folder, "carried"), join(folder, "cache"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function assertWhole(folder: string): Promise<void> {
  const names = (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
  assert.deepEqual(names, [...libraries.keys()], "the libraries and nothing else");
  for (const [name, bytes] of libraries) assert.deepEqual(await Deno.readFile(join(folder, name)), bytes, name);
}

/** Unpacks in a process of its own; returns the folder, and what that process saw in it. */
async function unpackElsewhere(from: string, cache: string): Promise<string[]> {
  const module = JSON.stringify(new URL("../../cli/carried.ts", import.meta.url).href);
  const program = `import { unpack } from ${module};
    const folder = unpack(${JSON.stringify(from)}, ${JSON.stringify(cache)});
    console.log(folder, Deno.statSync(folder + "/libone.so").size, Deno.readFileSync(folder + "/libtwo.so")[200]);`;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--no-check", "--allow-read", "--allow-write", "--allow-env"].concat(
      `--config=${new URL("../../deno.json", import.meta.url).pathname}`,
      `data:text/javascript,${encodeURIComponent(program)}`,
    ),
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim().split(" ");
}

Deno.test("unpack() writes the libraries once, for their owner only, in a folder named by their contents", () =>
  inFolder(async (from, cache) => {
    const folder = unpack(from, cache);
    await assertWhole(folder);
    assert.equal((await Deno.stat(folder)).mode! & 0o777, 0o700);
    for (const name of libraries.keys()) assert.equal((await Deno.stat(join(folder, name))).mode! & 0o777, 0o700);
    const written = (await Deno.stat(join(folder, "libone.so"))).mtime;
    assert.equal(unpack(from, cache), folder);
    assert.deepEqual((await Deno.stat(join(folder, "libone.so"))).mtime, written);

    const newer = join(from, "..", "newer");
    await carry(newer, new Map([...libraries, ["libtwo.so", new Uint8Array(5)]]));
    assert.notEqual(unpack(newer, cache), folder);
    await assertWhole(folder);
  }));

Deno.test("processes that start for the first time at once agree, and leave the libraries and nothing else", () =>
  inFolder(async (from, cache) => {
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => unpackElsewhere(from, cache)));
    for (const outcome of outcomes) assert.deepEqual(outcome, [outcomes[0]![0], "3000000", "200"]);
    await assertWhole(outcomes[0]![0]!);
  }));

Deno.test("unpack() replaces a library that is damaged or cut off", () =>
  inFolder(async (from, cache) => {
    const folder = unpack(from, cache);
    const damaged = libraries.get("libone.so")!.slice();
    damaged[1_000_000]! ^= 1;
    await Deno.writeFile(join(folder, "libone.so"), damaged);
    await Deno.truncate(join(folder, "libtwo.so"), 10);
    assert.equal(unpack(from, cache), folder);
    await assertWhole(folder);
  }));

Deno.test("where the cache cannot be written the libraries are in a temporary folder, which goes with the process", () =>
  inFolder(async (from, cache) => {
    await Deno.writeTextFile(cache, "a file");
    const [folder, ...whole] = await unpackElsewhere(from, cache);
    assert.deepEqual(whole, ["3000000", "200"]);
    assert.ok(!folder!.startsWith(cache));
    await assert.rejects(Deno.stat(folder!), Deno.errors.NotFound);
    assert.equal(await Deno.readTextFile(cache), "a file");
  }));
