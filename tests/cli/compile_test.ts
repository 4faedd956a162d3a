/**
 * The executable up to the runtime, which `deno compile` downloads and tests do without: any program stands in for it.
 * What is inside is complete: its own files, taken out and put into an empty folder, are the program.
 */
import assert from "node:assert/strict";
import { dirname, join } from "@std/path";
import { list, LISTING } from "../../cli/carried.ts";
import { corePath } from "../../ffi/ts/library.ts";
import { plainImports } from "../imports.ts";
import { type Embedded, embeddedFiles } from "./executable.ts";

const root = new URL("../../", import.meta.url).pathname;
const RUNTIME = "/bin/true";

/** Compiles the program and returns what is inside. */
async function compile(output: string): Promise<Embedded> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "cli/compile.ts", `--output=${output}`],
    cwd: root,
    env: { DENORT_BIN: RUNTIME, NO_COLOR: "1" },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return embeddedFiles(await Deno.readFile(output));
}

/** The files, and beside them the main program as `cli/main.ts` is in an executable. */
async function layOut(files: Embedded, folder: string): Promise<void> {
  for (const [path, bytes] of files) {
    if (path.startsWith(".deno_compile_node_modules/")) continue;
    await Deno.mkdir(dirname(join(folder, path)), { recursive: true });
    await Deno.writeFile(join(folder, path), bytes);
  }
  await Deno.writeTextFile(
    join(folder, "standalone.ts"),
    `import { cacheFolder } from "./cli/cache.ts";
     import { CARRIED, unpack } from "./cli/carried.ts";
     import { main } from "./cli/main.ts";
     import { carryLibraries } from "./ffi/ts/library.ts";
     carryLibraries(() => unpack(CARRIED, cacheFolder()));
     await main(Deno.args);`,
  );
  // packages, which lie in an executable as no runtime but its own finds them
  await Deno.symlink(join(root, "node_modules"), join(folder, "node_modules"));
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify({ imports: await plainImports() }));
}

Deno.test("the executable carries program, packages and libraries, and works from an empty folder", {
  ignore: Deno.build.os !== "linux",
}, async (t) => {
  const folder = await Deno.makeTempDir();
  const inside = join(folder, "inside");
  try {
    const files = await compile(join(folder, "bowline"));
    await t.step("the libraries are inside to the byte, and listed", async () => {
      const core = await Deno.readFile(corePath());
      assert.deepEqual(files.get("dist/carried/libbowline.so"), core);
      const names = [...files.keys()].filter((path) => /^dist\/carried\/lib.*\.so$/.test(path));
      const carried = new Map(names.map((path) => [path.slice("dist/carried/".length), files.get(path)!]));
      const listing = JSON.parse(new TextDecoder().decode(files.get(`dist/carried/${LISTING}`)));
      const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
      assert.deepEqual(listing.files.toSorted(byName), list(carried).files.toSorted(byName));
    });
    await t.step("packages that it needs are inside, those of tests and the corpora are not", () => {
      const packages = [...files.keys()].filter((path) => path.startsWith(".deno_compile_node_modules/"));
      const has = (name: string) => packages.some((path) => path.includes(`/${name}/`));
      for (const name of ["zod", "pino", "cli-table3", "commander"]) assert.ok(has(name), name);
      for (const name of ["gpt-tokenizer", "@stdlib"]) assert.ok(!has(name), name);
    });
    await layOut(files, inside);
    await t.step("it works in an empty folder", async () => {
      const flags = ["--quiet", "--no-check", "--no-lock", "--node-modules-dir=manual", "-A"];
      const command = [Deno.execPath(), "run", ...flags, `--config=${join(inside, "config.json")}`];
      const program = join(folder, "program");
      const script = `#!/bin/sh\nexec ${command.join(" ")} ${join(inside, "standalone.ts")} "$@"\n`;
      await Deno.writeTextFile(program, script, { mode: 0o755 });
      const { code, stdout, stderr } = await new Deno.Command(join(root, ".ci", "smoke"), { args: [program] }).output();
      const text = new TextDecoder();
      assert.equal(code, 0, text.decode(stdout) + text.decode(stderr));
      const rows = text.decode(stdout).replaceAll(/ *│\n│ +│ +│ /g, ""); // the table breaks a long path
      assert.match(rows, /core .*\/cache\/libraries\/[0-9a-f]{64}\/libbowline\.so/);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
