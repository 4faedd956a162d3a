/** A trained run with rows to evaluate it on. */
import { Workspace } from "./program.ts";

/** Rows of ARC's form about the words of the micro model's text. */
export function arcRows(count: number, start: number): string {
  const words = ["ba", "kelo", "mi", "nura", "seti", "ti"];
  const row = (i: number) => ({
    id: `q${i}`,
    question: `${words[i % 6]} ${words[(i * 5 + 1) % 6]} é`,
    choices: { text: [0, 1, 2].map((at) => `${words[(i + at) % 6]} ${words[at]}`), label: ["A", "B", "C"] },
    answerKey: "ABC"[i % 3],
  });
  return Array.from({ length: count }, (_, i) => `${JSON.stringify(row(start + i))}\n`).join("");
}

/** A workspace with a trained run and rows of two tasks. */
export async function evalWorkspace(): Promise<Workspace> {
  const workspace = await Workspace.make();
  await workspace.train("run");
  await Deno.mkdir(workspace.at("rows", "arc_challenge"), { recursive: true });
  await Deno.writeTextFile(workspace.at("rows", "arc_easy.test.jsonl"), arcRows(12, 0));
  await Deno.writeTextFile(workspace.at("rows", "arc_easy.train.jsonl"), arcRows(30, 40));
  await Deno.writeTextFile(workspace.at("rows", "arc_challenge", "test-00000-of-00002.jsonl"), arcRows(5, 20));
  await Deno.writeTextFile(workspace.at("rows", "arc_challenge", "test-00001-of-00002.jsonl"), arcRows(4, 25));
  await Deno.writeTextFile(workspace.at("rows", "arc_challenge", "train.jsonl"), arcRows(9, 60));
  return workspace;
}
