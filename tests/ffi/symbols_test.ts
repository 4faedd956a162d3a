/** The table of symbols and the Rust source must name the same functions with the same parameters. */
import assert from "node:assert/strict";
import { SYMBOLS } from "../../ffi/ts/symbols.ts";

const SOURCE = new URL("../../ffi/src/lib.rs", import.meta.url);

/** What a Rust type of the C border is called in the table. */
const TYPES: Readonly<Record<string, string>> = { u32: "u32", i32: "i32", f64: "f64", bool: "bool" };

function tableType(rust: string): string {
  return rust.startsWith("*") ? "buffer" : TYPES[rust] ?? `unknown: ${rust}`;
}

/** The exported functions of the Rust source. */
function exported(source: string): Record<string, { parameters: string[]; result: string }> {
  const functions = source.matchAll(/pub (?:unsafe )?extern "C" fn (\w+)\(([^)]*)\)(?: -> (\w+))?/g);
  return Object.fromEntries([...functions].map(([, name, parameters, result]) => {
    const types = parameters!.split(",").map((parameter) => parameter.split(":")[1]?.trim()).filter((type) => type);
    return [name, { parameters: types.map((type) => tableType(type!)), result: tableType(result ?? "void") }];
  }));
}

Deno.test("SYMBOLS has exactly the functions of lib.rs, with their types", async () => {
  const table = Object.entries(SYMBOLS).map(([name, { parameters, result }]) => [name, { parameters, result }]);
  assert.deepEqual(Object.fromEntries(table), exported(await Deno.readTextFile(SOURCE)));
});

Deno.test("SYMBOLS passes at most 6 arguments, and every fallible call has a status at the end", () => {
  for (const [name, { parameters }] of Object.entries(SYMBOLS)) {
    assert.ok(parameters.length <= 6, name);
    const isFallible = !["bowline_abi_version", "bowline_probe", "bowline_free", "bowline_cancel"].includes(name);
    if (isFallible) assert.equal((parameters as readonly string[]).at(-1), "buffer", name);
  }
});
