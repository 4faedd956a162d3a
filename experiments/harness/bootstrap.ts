/** The bootstrap of the harness: 1,000 resamplings a chunk, each chunk with a generator of its own. */
import { PythonRandom } from "./random.ts";
import { standardDeviation } from "./statistics.ts";

const CHUNK = 1000;

/**
 * The standard deviation of a statistic of `values` drawn again with repetition, over at most `iterations` drawings.
 *
 * @param rest Called after each chunk.
 */
export async function bootstrap(
  values: readonly number[],
  statistic: (values: readonly number[]) => number,
  iterations: number,
  rest: () => Promise<void>,
): Promise<number> {
  const size = Math.min(CHUNK, iterations);
  const found: number[] = [];
  for (let chunk = 0; chunk < Math.floor(iterations / size); chunk++) {
    const random = new PythonRandom(chunk);
    for (let draw = 0; draw < size; draw++) {
      found.push(statistic(random.choices(values.length, values.length).map((i) => values[i]!)));
    }
    await rest();
  }
  return standardDeviation(found);
}
