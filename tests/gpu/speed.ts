/** How fast the device is, and how much of its memory a model takes. */
import { randomTokens } from "../../cli/bench/steps.ts";
import { manifest, type Plan, preset, resolve, tokensPerStep } from "../../experiments/mod.ts";
import { Trainer } from "../../ffi/ts/trainer.ts";
import { Card, type GroupedSize } from "./card.ts";
import { type Options, type Place, PRECISIONS } from "./options.ts";
import type { Row } from "./report.ts";

const PRODUCTS: readonly GroupedSize[] = [
  { n: 32_768, e: 64, o: 2048, i: 2048 }, // gate and up of olmoe-regular, 4,096 tokens
  { n: 32_768, e: 64, o: 2048, i: 1024 }, // down
];
const MICRO_PRODUCTS: readonly GroupedSize[] = [{ n: 48, e: 3, o: 16, i: 24 }];

/** Rates of grouped products. */
export function timeProducts({ library, isMicro }: Options): Row[] {
  using card = new Card(library);
  return PRECISIONS.flatMap((precision) =>
    (isMicro ? MICRO_PRODUCTS : PRODUCTS).map((size) => {
      const seconds = card.timeGrouped(size, precision, isMicro ? 1 : 20);
      const rate = 2 * size.n * size.o * size.i / seconds / 1e12;
      const shape = `${size.n} rows, ${size.e} x (${size.o}, ${size.i})`;
      return measured(`grouped product, ${precision}`, `${rate.toPrecision(3)} TFLOP/s: ${shape}`);
    })
  );
}

/** Rates of whole steps, and the memory that they take. */
export async function timeModels({ library, device, isMicro }: Options): Promise<Row[]> {
  const names = isMicro ? ["micro"] : ["nano", "olmoe-tiny"];
  const rows: Row[] = [];
  for (const precision of PRECISIONS) {
    for (const name of names) {
      console.error(`steps of ${name}, ${precision}`);
      using card = new Card(library);
      const before = card.info().free;
      const plan = planOf(name);
      const place: Place = { device, precision };
      using trainer = new Trainer(plan, place);
      const { accumulation, batch, seqLen } = plan.train;
      const tokens = randomTokens(accumulation * batch * (seqLen + 1), plan.model.vocab);
      const [warmUps, steps] = isMicro ? [1, 1] : [3, 10];
      for (let i = 0; i < warmUps; i++) await trainer.stepTokens(tokens);
      const start = performance.now();
      let loss = NaN;
      for (let i = 0; i < steps; i++) ({ loss } = await trainer.stepTokens(tokens));
      const seconds = (performance.now() - start) / 1000 / steps;
      if (!Number.isFinite(loss)) throw new Error(`Cannot time ${name}: its loss is ${loss}`);
      const used = (before - card.info().free) / 1e9;
      const is = `${(tokensPerStep(plan) / seconds).toFixed(0)} tokens/s, ${(1000 * seconds).toFixed(1)} ms a step, ` +
        `${used.toFixed(2)} GB: ${batch} x ${seqLen} tokens`;
      rows.push(measured(`${name}, ${precision}`, is));
    }
  }
  return rows;
}

function measured(check: string, is: string): Row {
  return { check, is, verdict: "" };
}

function planOf(name: string): Plan {
  if (name === "micro") {
    const model = {
      family: "olmoe",
      vocab: 300,
      width: 16,
      layers: 3,
      heads: 2,
      experts: 4,
      topK: 2,
      expertWidth: 8,
    } as const;
    const train = { steps: 4, batch: 1, seqLen: 8, warmupSteps: 1 };
    return resolve(manifest({ name, model, tie: { groupSize: 1, skipFirst: 1, skipLast: 1 }, train }));
  }
  const input = preset(name);
  const size = name === "nano" ? {} : { batch: 8, accumulation: 1, seqLen: 1024 };
  return resolve(manifest({ ...input, train: { ...input.train, ...size }, data: preset("nano").data! }));
}
