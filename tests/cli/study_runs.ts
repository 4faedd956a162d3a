/** Folders of runs as training leaves them, for tests of tables: real manifests and plans, results as one likes. */
import { join } from "@std/path";
import { manifest, type ManifestInput, plan, preset } from "../../experiments/mod.ts";

/** What happened in a run. */
export interface Happened {
  /** Loss of the final evaluation; undefined if it did not get so far. NaN is written as null. */
  readonly loss?: number;
  /** Agreements of the evaluation, in this order: pairs, set. */
  readonly agreement?: readonly [number, number];
  /** Agreements of the steps, one pair each. */
  readonly steps?: readonly (readonly [number, number])[];
  /** Changes the preset. */
  readonly change?: (preset: ManifestInput) => ManifestInput;
  /** How it ended; by default as training does. */
  readonly end?: string | null;
  /** Threads of its environment. */
  readonly threads?: number;
}

/** Writes `runs/<name>`. */
export async function writeRun(runs: string, name: string, happened: Happened): Promise<void> {
  const { loss, agreement, steps = [], change = (same) => same, threads = 2 } = happened;
  const complete = manifest(change(preset(name)));
  const resolved = plan(complete);
  const last = resolved.train.steps;
  const end = happened.end === undefined ? (loss === undefined ? null : "complete") : happened.end;
  const at = loss === undefined ? steps.length : last;
  const events: unknown[] = [
    { type: "start", step: 0, name, steps: last },
    ...steps.map(([pairs, set], i) => ({
      type: "step",
      step: at - steps.length + i + 1,
      tokens_per_s: 2048,
      agreement: pairs,
      set_agreement: set,
    })),
    ...loss === undefined ? [] : [{
      type: "eval",
      step: last,
      loss,
      ...agreement && { agreement: agreement[0], set_agreement: agreement[1] },
    }],
    ...end === null ? [] : [{ type: "end", step: at, reason: end, seconds: 1 }],
  ];
  const folder = join(runs, name);
  await Deno.mkdir(folder, { recursive: true });
  const write = (file: string, value: unknown) =>
    Deno.writeTextFile(join(folder, file), `${JSON.stringify(value, null, 2)}\n`);
  await write("manifest.json", complete);
  await write("plan.json", resolved);
  await write("environment.json", { system: "test", threads });
  await Deno.writeTextFile(join(folder, "events.jsonl"), events.map((event) => `${JSON.stringify(event)}\n`).join(""));
}

/** The tags of an XML text that are not closed, or what is no XML in it; none if it is well-formed. */
export function unclosed(xml: string): string[] {
  const open: string[] = [];
  for (const [tag, isClosing, name, isEmpty] of xml.matchAll(/<(\/?)([a-z]+)(?:\s+[\w-]+="[^"<]*")*\s*(\/?)>/g)) {
    if (isEmpty) continue;
    if (!isClosing) open.push(name!);
    else if (open.pop() !== name) return [tag];
  }
  const rest = xml.replaceAll(/<(\/?)([a-z]+)(?:\s+[\w-]+="[^"<]*")*\s*(\/?)>/g, "").replaceAll(/&(amp|lt|gt);/g, "");
  return /[<>&]/.test(rest) ? [rest.match(/.{0,20}[<>&].{0,20}/)![0]] : open;
}
