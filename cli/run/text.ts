/** What a run tells people: the progress line and the summary. */
import type { StatValues } from "../../ffi/ts/stats.ts";
import type { DataInfo, StreamInfo } from "../../ffi/ts/data.ts";
import { duration, whole } from "./format.ts";

/** How fast a run goes. */
export interface Speed {
  /** Recent time of a step. */
  readonly secondsPerStep: number;
  /** Tokens that a step trains on. */
  readonly stepTokens: number;
}

/** `step  120/500  loss 4.8321  2,345 tokens/s  3m 20s left`. */
export function progressLine(stats: StatValues, steps: number, speed: Speed): string {
  const step = String(stats.step).padStart(String(steps).length);
  const rate = whole(speed.stepTokens / speed.secondsPerStep);
  const left = duration((steps - stats.step) * speed.secondsPerStep);
  return `step ${step}/${steps}  loss ${stats.lmLoss.toFixed(4)}  ${rate} tokens/s  ${left} left`;
}

/** What came out: held-out loss beside the bigram's, where the model is, and a text by it. */
export function summary(
  held: StatValues,
  data: DataInfo,
  checkpoint: string,
  prompt: string,
  text: string,
): string[] {
  const bits = Number.isNaN(held.evalBitsPerByte) ? "" : `, ${held.evalBitsPerByte.toFixed(3)} bits per byte`;
  return [
    `held-out loss  ${held.evalLoss.toFixed(3)} (perplexity ${Math.exp(held.evalLoss).toFixed(1)}${bits})`,
    ...(data.kind === "corpus"
      ? [`add-one bigram ${data.bigramLoss.toFixed(3)} on the same tokens`]
      : [`documents      ${whole(data.sources.reduce((sum, source) => sum + source.documents, 0))}${leftOut(data)}`]),
    `checkpoint     ${checkpoint}`,
    `sample         ${(prompt + text).replaceAll(/\s+/g, " ")}`,
  ];
}

/** Records of all sources that were passed over, by reason; empty if there are none. */
function leftOut({ sources }: StreamInfo): string {
  const reasons = [["short", "too short"], ["empty", "empty"], ["bad", "unreadable"]] as const;
  const parts = reasons.flatMap(([key, words]) => {
    const count = sources.reduce((sum, source) => sum + source[key], 0);
    return count > 0 ? [`${whole(count)} ${words}`] : [];
  });
  return parts.length > 0 ? `; skipped: ${parts.join(", ")}` : "";
}
