/** What the documents say is so: maps, dependencies, commands. */
import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, root));

/** First cells of a table's rows, without markup; the table stands below the line `title`. */
function firstCells(text: string, title: string): string[] {
  const rows = text.slice(text.indexOf(title)).split("\n").filter((line) => line.startsWith("|")).slice(2);
  return rows.map((row) => row.split("|")[1]!.trim());
}

/** Lines of the README's blocks of this kind. */
function lines(text: string, kind: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${kind}\\n([^\`]*)^\`\`\``, "gm"))].flatMap((block) =>
    block[1]!.trim().split("\n")
  );
}

Deno.test("the README maps every folder and module of the top level", async () => {
  const { stdout } = await new Deno.Command("git", { args: ["ls-files"], cwd: root }).output();
  const tracked = new TextDecoder().decode(stdout).trim().split("\n").map((path) => path.split("/"));
  const wanted = tracked.filter(([first, ...rest]) =>
    !first!.startsWith(".") && (rest.length > 0 || first === "mod.ts")
  );
  const mapped = firstCells(await read("README.md"), "## Where things are").map((cell) => /\[(.+)\]/.exec(cell)?.[1]);
  assert.deepEqual(mapped.sort(), [...new Set(wanted.map(([first]) => first!))].sort());
});

Deno.test("CONTRIBUTING gives a reason for every dependency", async () => {
  const listed = firstCells(await read("CONTRIBUTING.md"), "## Dependencies").flatMap((cell) =>
    [...cell.matchAll(/`(.+?)`/g)].map((match) => match[1]!)
  );
  const cargo = await read("ffi/Cargo.toml");
  const crates = [...cargo.matchAll(/^\[(?:.*\.)?(?:dev-)?dependencies\]\n((?:[^[\n].*\n|\n)*)/gm)].flatMap((section) =>
    [...section[1]!.matchAll(/^([\w-]+)\s*=/gm)].map((match) => match[1]!)
  );
  const own = ["@bowline/bowline", "@cliffy/command", "@std/path", "@std/streams"]; // ourselves, and the stand-ins
  const packages = Object.keys(JSON.parse(await read("deno.json")).imports).filter((name) => !own.includes(name));
  assert.ok(crates.length > 5 && packages.length > 3);
  const inTests = [...(await read("tests/tokenizers/cl100k_test.ts")).matchAll(/from "npm:(.+?)@/g)].map((match) =>
    match[1]!
  );
  const wheels = [...(await read("kernels/toolchain.txt")).matchAll(/^([\w-]+)==/gm)].map((match) => match[1]!);
  assert.equal(wheels.length, 5);
  assert.deepEqual(listed.sort(), [...crates, ...packages, ...wheels, ...inTests, "commander"].sort());
});

Deno.test("CI runs tasks and scripts that are there, with one version of Deno", async () => {
  const { tasks } = JSON.parse(await read("deno.json"));
  const folder = new URL(".github/workflows/", root);
  const workflows = await Array.fromAsync(Deno.readDir(folder), ({ name }) => read(`.github/workflows/${name}`));
  const text = [...await Promise.all(workflows), await read(".ci/run")].join("\n");
  const used = [...text.matchAll(/\bdeno(?:@\S+)? task (\S+)/g)].map((match) => match[1]!);
  assert.ok(used.length > 5);
  assert.deepEqual(used.filter((name) => !(name in tasks)), []);
  assert.equal(new Set([...text.matchAll(/deno@(\d[\d.]*)/g)].map((match) => match[1])).size, 1);
  for (const [script] of text.matchAll(/\.ci\/\w+/g)) {
    assert.ok((await Deno.stat(new URL(script, root))).isFile, script);
  }
});

/** How a command of the README is made short, and what it depends on; the rest runs as it stands. */
const SHORT: Record<string, (args: string[], out: string) => string[] | null> = {
  "task train": (args, out) => [...args, "--steps", "2", "--set", "eval.batches=1", "--out", out],
  "task test": () => null, // it is running now
};

Deno.test("every command of the README works", async (t) => {
  const out = await Deno.makeTempDir();
  const commands = lines(await read("README.md"), "sh");
  assert.ok(commands.length > 4);
  for (const command of commands) {
    const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2]!);
    assert.deepEqual(words.slice(0, 3), ["npx", "-y", "deno"], command);
    const full = words.slice(3).map((word) => word.replace("runs/quickstart", `${out}/run`));
    const args = (SHORT[full.slice(0, 2).join(" ")] ?? ((same) => same))(full, `${out}/run`);
    if (args === null) continue;
    await t.step(command, async () => {
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args,
        cwd: root,
        stdout: "null",
        stderr: "piped",
      }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
    });
  }
  await Deno.remove(out, { recursive: true });
});

/** Runs the program in an empty folder. */
async function bowline(args: readonly string[], env: Record<string, string> = {}) {
  const cwd = await Deno.makeTempDir();
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("cli/main.ts", root).pathname, ...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
  });
  const { stdout, stderr } = await command.output();
  await Deno.remove(cwd, { recursive: true });
  return { stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test("commands of the README that need what CI has not have verbs and options of the program", async () => {
  const commands = lines(await read("README.md"), "console").map((line) => / ?bowline (\w.*)$/.exec(line)?.[1]);
  const found = commands.filter((command) => command !== undefined);
  assert.ok(found.length >= 6);
  for (const command of found) {
    const { stdout } = await bowline([command.split(" ")[0]!, "--help"]);
    for (const [option] of command.matchAll(/--[\w-]+/g)) assert.match(stdout, new RegExp(`${option}\\b`), command);
  }
});

Deno.test("the refusal of the README is what the program says", async () => {
  const console = lines(await read("README.md"), "console");
  const at = console.findIndex((line) => line.startsWith("$ "));
  const [variable, , ...args] = console[at]!.slice(2).split(" ");
  const [name, value] = variable!.split("=");
  const { stderr } = await bowline(args, { [name!]: value! });
  assert.equal(stderr.trim(), console[at + 1]);
});
