/** Python's generator, number for number. */
import assert from "node:assert/strict";
import { PythonRandom } from "../../experiments/harness/random.ts";

Deno.test("MT19937 gives CPython's numbers", () => {
  const random = new PythonRandom(1234);
  assert.deepEqual(Array.from({ length: 4 }, () => random.uint32()), [4150886329, 3342196574, 1892932127, 501869158]);
});

Deno.test("seeds of more than 32 bits, and 0", () => {
  // random.Random(seed).getrandbits(32) of CPython 3.11
  assert.equal(new PythonRandom(0).uint32(), 3626764237);
  assert.equal(new PythonRandom(2 ** 40 + 7).uint32(), 2635837658);
});

Deno.test("random, sample of small and large lists, choices", () => {
  const random = new PythonRandom(5);
  assert.deepEqual([random.random(), random.random()], [0.6229016948897019, 0.7417869892607294]);
  assert.deepEqual(random.sample(10, 4), [8, 0, 7, 6]);
  assert.deepEqual(random.sample(100, 7), [31, 83, 6, 20, 14, 47, 60]);
  assert.deepEqual(random.sample(1000, 7), [889, 252, 389, 556, 104, 587, 255]);
  assert.deepEqual(random.choices(12, 6), [0, 2, 3, 10, 9, 1]);
});

/** First three draws of `k` (or one more) of `n`, as the harness makes them. */
const DRAWS: [task: string, n: number, shots: number, isSpare: boolean, indices: number[][]][] = [
  ["arc_easy", 2251, 3, false, [[1805, 478, 30], [371, 143, 343], [403, 1452, 969]]],
  ["arc_easy", 2251, 5, false, [[1805, 478, 30, 371, 143], [343, 403, 1452, 969, 71]]],
  ["arc_challenge", 1119, 3, false, [[902, 239, 15], [185, 71, 171], [201, 726, 484]]],
  ["openbookqa", 4957, 3, false, [[3610, 957, 61], [742, 4769, 286], [687, 806, 2905]]],
  ["hellaswag", 39905, 3, true, [[28883, 7657, 490], [38156, 2288, 5500], [23241, 15519, 1142]]],
  ["hellaswag", 39905, 5, true, [[28883, 7657, 490, 5940, 38156], [5500, 6450, 23241, 15519, 1142]]],
  ["piqa", 16113, 3, true, [[15834, 12749, 7220], [122, 1485, 14925], [15388, 13221, 9539]]],
  ["winogrande", 40398, 3, true, [[28883, 7657, 490], [38156, 2288, 5500], [23241, 15519, 1142]]],
  ["sciq", 11679, 3, false, [[7220, 1914, 122], [1485, 9539, 572], [11002, 11355, 1375]]],
];
for (const [task, n, shots, isSpare, indices] of DRAWS) {
  Deno.test(`the examples of ${task}, ${shots} shots`, () => {
    const random = new PythonRandom(1234);
    const drawn = indices.map(() => random.sample(n, shots + (isSpare ? 1 : 0)).slice(0, shots));
    assert.deepEqual(drawn, indices);
  });
}
