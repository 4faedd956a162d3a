/** What can be wrong with what `experiments table` is given: one line, exit code 2, and nothing written. */
import assert from "node:assert/strict";
import { join } from "@std/path";
import { tableCommand } from "../../cli/experiments/table.ts";
import { writeRun } from "./study_runs.ts";

const NAME = "ablation/nano/baseline_32/seed-1";

/** A mistake: what is done to the folder of runs and a record of it, the command line, and the answer. */
interface Mistake {
  readonly name: string;
  readonly spoil?: (folder: string) => Promise<void>;
  readonly args?: readonly string[];
  readonly says: RegExp;
}

const edit = (file: string, change: (text: string) => string) => async (folder: string) => {
  const path = join(folder, file);
  await Deno.writeTextFile(path, change(await Deno.readTextFile(path)));
};
const inRun = (file: string, change: (text: string) => string) => edit(`runs/${NAME}/${file}`, change);
const inRecord = (change: (text: string) => string) => edit("record.json", change);
const RECORD = ["--record", "record.json"];

const MISTAKES: readonly Mistake[] = [
  { name: "an unknown study", args: ["--study", "nanno"], says: /study nanno.*ablation, main, nano/ },
  { name: "an unknown section", args: ["--study", "nano", "--section", "fien"], says: /section fien.*fine, dense/ },
  { name: "an unknown architecture", args: ["--study", "main", "--architecture", "gpt"], says: /gpt.*olmoe/ },
  { name: "an unknown format", args: ["--format", "pdf"], says: /--format.*pdf.*text.*svg/ },
  { name: "two formats", args: ["--format", "svg", "--json"], says: /--json.*--format svg/ },
  { name: "two sources", args: [...RECORD, "--runs", "runs"], says: /--runs.*--record/ },
  { name: "an argument too many", args: ["nano"], says: /too many arguments/ },
  { name: "a record that is missing", args: ["--record", "none.json"], says: /none\.json: no such file/ },
  { name: "a record that is a folder", args: ["--record", "runs"], says: /runs: it is a folder/ },
  { name: "a record of another study", args: [...RECORD, "--study", "main"], says: /record of nano.*one of main/ },
  { name: "a place that does not exist", args: ["--study", "nano", "--save-record", "no/r.json"], says: /no\/r\.json/ },
  {
    name: "a record of another version",
    spoil: inRecord((text) => text.replace('"format": 1', '"format": 2')),
    args: RECORD,
    says: /record\.json: its format is 2, wanted a record of format 1/,
  },
  { name: "a file that is no record", spoil: inRecord(() => "[]"), args: RECORD, says: /it has no format/ },
  { name: "a record cut short", spoil: inRecord((text) => text.slice(0, -9)), args: RECORD, says: /it is not JSON/ },
  {
    name: "a record with a wrong value",
    spoil: inRecord((text) => text.replace('"seconds":', '"minutes":')),
    args: RECORD,
    says: /runs\.0.*(seconds|minutes)/,
  },
  {
    name: "a record with a run of no study",
    spoil: inRecord((text) => text.replaceAll(NAME, "ablation/nano/none_32")),
    args: RECORD,
    says: /ablation\/nano\/none_32 is no run of nano/,
  },
  {
    name: "a corrupt line of events",
    spoil: inRun("events.jsonl", (text) => `{"type":"step","st\n${text}`),
    says: /events\.jsonl: line 1 is no event/,
  },
  {
    name: "a line that is no event",
    spoil: inRun("events.jsonl", (text) => `${text}{"step":3}\n`),
    says: /events\.jsonl: line 4 is no event/,
  },
  {
    name: "a manifest that is not JSON",
    spoil: inRun("manifest.json", () => "{"),
    says: /manifest\.json: it is not JSON/,
  },
  {
    name: "a folder with another run",
    spoil: inRun("manifest.json", (text) => text.replace("seed-1", "seed-2")),
    says: /holds a run of ablation\/nano\/baseline_32\/seed-2/,
  },
  {
    name: "a plan of another version",
    spoil: inRun("plan.json", (text) => text.replace(/"format": \d+/, '"format": 0')),
    says: /plan\.json: format/,
  },
  {
    name: "a run without its environment",
    spoil: (folder) => Deno.remove(join(folder, "runs", NAME, "environment.json")),
    says: /environment\.json: no such file/,
  },
];

Deno.test("mistakes are answered by one line and exit code 2", async (t) => {
  for (const { name, spoil, args, says } of MISTAKES) {
    await t.step(name, async () => {
      const folder = await Deno.makeTempDir();
      try {
        const at = (path: string) => join(folder, path);
        await writeRun(at("runs"), NAME, { loss: 4 });
        await tableCommand().parse(
          ["--study", "nano", "--runs", at("runs"), "--save-record", at("record.json"), "--out", at("before")],
        );
        await spoil?.(folder);
        const given = (args ?? ["--study", "nano", "--runs", "runs"])
          .map((arg) => /^runs$|\.json$/.test(arg) ? at(arg) : arg);
        await assert.rejects(() => tableCommand().parse([...given, "--out", at("out")]), (error) => {
          assert.ok(error instanceof Error);
          assert.match(error.message, says);
          assert.doesNotMatch(error.message, /\n/);
          assert.equal(Object(error).exitCode, 2);
          return true;
        });
        assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name).sort(), [
          "before",
          "record.json",
          "runs",
        ]);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
});
