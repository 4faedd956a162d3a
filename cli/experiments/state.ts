/** How far a run is, by what its folder holds. */
import { isComplete, readEvents } from "../run/events.ts";
import { RunFolder } from "../run/folder.ts";
import type { Selected } from "./select.ts";

/** What is known of a run. */
export interface RunState {
  /** Completed steps of the newest checkpoint; 0 if there is none. */
  readonly step: number;
  /** Whether nothing is left to do. */
  readonly isFinished: boolean;
  /** The last held-out loss; null if there is none. */
  readonly loss: number | null;
}

/**
 * Looks at a run's folder: finished is a run whose newest checkpoint is that of its last step and whose record says
 * that it came to its end.
 *
 * @throws {ValidationError} if this experiment must not be trained there.
 */
export async function stateOf({ manifest, plan, out }: Selected): Promise<RunState> {
  const folder = new RunFolder(out);
  await folder.check(manifest, true);
  const step = (await folder.newest())?.step ?? 0;
  const events = await readEvents(folder.eventsPath);
  const evaluation = events.findLast((event) => event.type === "eval");
  return {
    step,
    isFinished: step === plan.train.steps && isComplete(events),
    loss: evaluation?.loss ?? null,
  };
}
