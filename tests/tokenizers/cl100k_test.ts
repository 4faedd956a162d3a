/** cl100k_base against another implementation: its published vectors, and ten million bytes of books. */
import assert from "node:assert/strict";
import { encode } from "npm:gpt-tokenizer@4.0.0/encoding/cl100k_base";
import { books, tokenize } from "./documents.ts";

const cl100k = { kind: "cl100k" } as const;
/** Names of special tokens in a text are text, as they are to us. */
const asText = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };

Deno.test("the published vectors of cl100k_base", async () => {
  const file = import.meta.resolve("npm:gpt-tokenizer@4.0.0/data/TestPlans.txt");
  const plans = await Deno.readTextFile(new URL(file));
  const vectors = [...plans.matchAll(/^EncodingName: cl100k_base\nSample: (.*)\nEncoded: (\[.*\])$/gm)];
  assert.equal(vectors.length, 64);
  const ids = await tokenize(vectors.map(([, sample]) => sample!), cl100k);
  assert.equal(ids.length, vectors.length);
  vectors.forEach(([, sample, encoded], at) => assert.deepEqual([...ids[at]!], JSON.parse(encoded!), sample));
});

// The package's patterns are JavaScript's, where U+FEFF is white space; in Unicode's list, which cl100k_base goes by, it
// is not. The test below has it.
const texts = (await books())?.map((text) => text.replaceAll("\uFEFF", "")) ?? null;

Deno.test({
  name: "ten million bytes of books have the ids that gpt-tokenizer gives them",
  ignore: texts === null,
  fn: async () => {
    const ids = await tokenize(texts!, cl100k);
    assert.equal(ids.length, texts!.length);
    for (const [at, text] of texts!.entries()) {
      assert.deepEqual(ids[at], Uint32Array.from(encode(text, asText)), `document ${at}`);
    }
  },
});

Deno.test("U+FEFF is no white space, and has the token of the published ranks", async () => {
  const file = import.meta.resolve("npm:gpt-tokenizer@4.0.0/data/cl100k_base.tiktoken");
  const lines = (await Deno.readTextFile(new URL(file))).split("\n").map((line) => line.split(" "));
  const rank = (text: string) => {
    const found = lines.find(([base64]) => base64 === new TextEncoder().encode(text).toBase64());
    return found && Number(found[1]);
  };
  const [mark, dash] = [rank("\uFEFF"), rank("\u2014")];
  assert.ok(mark !== undefined && dash !== undefined && rank("\uFEFF\u2014") === undefined);
  // As white space it would be cut off, and the dash would go to the word.
  assert.deepEqual(await tokenize(["\uFEFF\u2014I", "\uFEFF"], cl100k), [
    Uint32Array.of(mark, dash, rank("I")!),
    Uint32Array.of(mark),
  ]);
});
