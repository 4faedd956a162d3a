/** Tells when routing collapses: one expert gets nearly all tokens, or experts get none, for many steps in a row. */
import type { RunEvent } from "./events.ts";
import type { Experiment } from "./loop.ts";

/** What is still tolerated, the section `collapse` of a manifest. */
export interface CollapseBounds {
  /** Largest share of first choices that an expert may have. */
  readonly expertShare: number;
  /** Experts of a site that may be nobody's first choice, as the mean over sites. */
  readonly deadExperts: number;
  /** Steps in a row that are too many. */
  readonly steps: number;
}

/** What the alarm reads of a step. */
export type RoutingOfStep = Pick<
  Extract<RunEvent, { type: "step" }>,
  "step" | "max_expert_share" | "dead_expert_share"
>;

/** One thing that is watched. */
interface Watch {
  /** The value of a step. */
  readonly read: (event: RoutingOfStep) => number;
  readonly bound: number;
  readonly describe: (value: string) => string;
  /** Steps in a row above the bound. */
  count: number;
}

/** Watches the steps of a run. */
export class CollapseAlarm {
  readonly #watches: readonly Watch[];
  readonly #steps: number;

  /** Makes an alarm for a model whose sites have `experts` experts, as the mean over sites. */
  constructor({ expertShare, deadExperts, steps }: CollapseBounds, experts: number) {
    this.#steps = steps;
    this.#watches = [
      {
        read: (event) => event.max_expert_share,
        bound: expertShare,
        describe: (value) => `an expert is the first choice of ${value} of the tokens`,
        count: 0,
      },
      {
        read: (event) => event.dead_expert_share * experts,
        bound: deadExperts,
        describe: (value) => `${value} of ${short(experts)} experts of a site are nobody's first choice`,
        count: 0,
      },
    ];
  }

  /**
   * Takes the next step and returns what there is to warn of: once when a bound has been exceeded for as many steps in a
   * row as are too many, and not again before the value has been within the bound.
   */
  observe(event: RoutingOfStep): string[] {
    return this.#watches.flatMap((watch) => {
      const value = watch.read(event);
      watch.count = value > watch.bound ? watch.count + 1 : 0;
      if (watch.count !== this.#steps) return [];
      const since = `for ${this.#steps} steps, more than the bound of ${watch.bound}`;
      return [`routing collapses: ${watch.describe(short(value))} at step ${event.step}, and too many ${since}`];
    });
  }
}

/** The alarm of a run, which knows what happened before it went on. */
export function alarmOf({ manifest, plan }: Experiment, before: readonly RunEvent[]): CollapseAlarm {
  const routers = plan.banks.filter((bank) => bank.kind === "router");
  const sites = routers.reduce((sum, bank) => sum + bank.uses, 0);
  const experts = routers.reduce((sum, bank) => sum + bank.uses * bank.shape.E, 0) / sites;
  const alarm = new CollapseAlarm(manifest.collapse, experts);
  for (const event of before) if (event.type === "step") alarm.observe(event);
  return alarm;
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
