/** The records of finished studies in the repository: their tables come out of them again. bench has a test of its own. */
import assert from "node:assert/strict";
import { join } from "@std/path";
import { tableCommand } from "../../cli/experiments/table.ts";
import { apply, manifestText, sha256 } from "../../cli/experiments/table/differences.ts";
import { readRecord } from "../../cli/experiments/table/record.ts";

const FOLDER = new URL("../../experiments/records", import.meta.url).pathname;

Deno.test("each record is described, proves its manifests and gives its table", async (t) => {
  const names = [...Deno.readDirSync(FOLDER)].filter(({ isDirectory, name }) => isDirectory && name !== "bench").map((
    { name },
  ) => name);
  assert.ok(names.length > 0, "no record");
  for (const name of names) {
    await t.step(name, async () => {
      const at = (file: string) => join(FOLDER, name, file);
      const out = await Deno.makeTempFile();
      const gives = async (file: string, ...args: string[]) => {
        await tableCommand().parse(["--record", at("record.json"), "--out", out, ...args]);
        assert.equal(await Deno.readTextFile(at(file)), await Deno.readTextFile(out), file);
      };
      try {
        await gives("table.md", "--format", "markdown");
        // A plot is named after its section.
        const plots = [...Deno.readDirSync(join(FOLDER, name))].map((entry) => entry.name).filter((file) =>
          file.endsWith(".svg")
        );
        for (const file of plots) await gives(file, "--format", "svg", "--section", file.replace(".svg", ""));
      } finally {
        await Deno.remove(out);
      }
      assert.match(await Deno.readTextFile(at("README.md")), /table\.md/);
      const { manifest, environments, runs } = await readRecord(at("record.json"));
      for (const run of runs) {
        if (run.state !== "finished") continue;
        assert.equal(await sha256(manifestText(apply(manifest, run.differs))), run.manifestSha256, run.name);
        assert.ok(environments[run.environment], `${run.name} says where it ran`);
      }
    });
  }
});
