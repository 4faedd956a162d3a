/** Help that teaches. */
import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { Workspace } from "./program.ts";

Deno.test("help shows what each command does, with examples", async (t) => {
  await using workspace = await Workspace.make();
  const commands = ["train", "generate", "eval", "import", "export", "doctor", "experiments"];
  const experiments = ["list", "show", "run", "submit", "table"].map((name) => `experiments ${name}`);
  for (const command of [...commands, ...experiments]) {
    await t.step(command, async () => {
      const { code, stdout, stderr } = await workspace.run(...command.split(" "), "--help");
      assert.equal(code, 0);
      assert.equal(stderr, "");
      assert.match(stdout, new RegExp(`^Usage: bowline ${command} `));
      assert.match(stdout, new RegExp(`:\n  bowline ${command}`), "an example");
    });
  }
});

Deno.test("bowline without arguments shows its help", async () => {
  await using workspace = await Workspace.make();
  const [bare, asked] = [await workspace.run(), await workspace.run("--help")];
  assert.equal(bare.code, 0);
  assert.equal(bare.stdout, asked.stdout);
  for (const command of ["train", "plan", "generate", "eval", "import", "export", "experiments", "doctor"]) {
    assert.match(bare.stdout, new RegExp(`^  ${command} `, "m"));
  }
});

Deno.test("bowline experiments without a command shows its help", async () => {
  await using workspace = await Workspace.make();
  const [bare, asked] = [await workspace.run("experiments"), await workspace.run("experiments", "--help")];
  assert.equal(bare.code, 0);
  assert.equal(bare.stdout, asked.stdout);
});

Deno.test("bowline --version prints the version of deno.json", async () => {
  await using workspace = await Workspace.make();
  const { stdout } = await workspace.run("--version");
  assert.equal(stdout.trim(), config.version);
});

Deno.test("bowline doctor finds this installation whole", async () => {
  await using workspace = await Workspace.make();
  const { code, stdout } = await workspace.run("doctor", "--json");
  assert.deepEqual(JSON.parse(stdout).filter((finding: { isGood: boolean }) => !finding.isGood), []);
  assert.equal(code, 0);
});
