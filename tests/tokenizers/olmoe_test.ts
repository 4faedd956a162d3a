/** The tokenizer of OLMoE on ten million bytes of books: its ids, read by its vocabulary alone, are the text in NFC. */
import assert from "node:assert/strict";
import { books, sharedText, tokenize } from "./documents.ts";

/** What is read here of a tokenizer.json. */
interface TokenizerJson {
  readonly model: { readonly vocab: Readonly<Record<string, number>> };
  readonly "added_tokens": readonly { readonly id: number; readonly content: string }[];
}

/** The bytes that stand behind the characters of a byte-level vocabulary: printable ones for themselves, others from U+0100 on. */
function byteTable(): Map<string, number> {
  const isPrintable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte < 256 && byte !== 173);
  const table = new Map<string, number>();
  let others = 0;
  for (let byte = 0; byte < 256; byte++) {
    table.set(String.fromCharCode(isPrintable(byte) ? byte : 256 + others++), byte);
  }
  return table;
}

/** The bytes of every id. */
function byId({ model, added_tokens }: TokenizerJson): Map<number, Uint8Array> {
  const table = byteTable();
  const bytes = new Map<number, Uint8Array>();
  for (const { id, content } of added_tokens) bytes.set(id, new TextEncoder().encode(content));
  for (const [token, id] of Object.entries(model.vocab)) {
    if (bytes.has(id)) continue; // an added token stands there as text
    bytes.set(id, Uint8Array.from(token, (character) => table.get(character) ?? assert.fail(token)));
  }
  return bytes;
}

function decode(ids: Uint32Array, bytes: Map<number, Uint8Array>): string {
  const parts = Array.from(ids, (id) => bytes.get(id) ?? assert.fail(`no token ${id}`));
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(whole);
}

const json = await sharedText("data/tokenizers/olmoe.tokenizer.json.zst");
const texts = await books();

Deno.test({
  name: "ids of OLMoE's tokenizer decode to the text in NFC",
  ignore: json === null || texts === null,
  fn: async () => {
    const path = await Deno.makeTempFile({ suffix: ".json" });
    await Deno.writeTextFile(path, json!);
    try {
      const ids = await tokenize(texts!, { kind: "file", path });
      assert.equal(ids.length, texts!.length);
      const bytes = byId(JSON.parse(json!));
      for (const [at, text] of texts!.entries()) {
        assert.equal(decode(ids[at]!, bytes), text.normalize("NFC"), `document ${at}`);
      }
      const characters = texts!.reduce((sum, text) => sum + text.length, 0);
      const tokens = ids.reduce((sum, document) => sum + document.length, 0);
      assert.ok(characters / tokens > 3.5, `${characters / tokens} characters a token: merges were made`);
    } finally {
      await Deno.remove(path);
    }
  },
});
