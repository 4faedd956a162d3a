/** kernels.h against the tables that call it: the core's, and that of the checks of a GPU. A compiler sees neither. */
import assert from "node:assert/strict";
import { ABI, SYMBOLS } from "../gpu/card.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(`../../${path}`, import.meta.url));
const header = read("kernels/include/kernels.h").replaceAll(/\/\*[^]*?\*\//g, "");
const table = read("ffi/src/cuda/library.rs");

/** Types of C as Rust has them; those behind a pointer, too. */
const TYPES: Readonly<Record<string, string>> = {
  "char": "u8",
  "void": "u8",
  "void*": "*mut c_void",
  "bowline_device": "device",
  "bowline_device*": "*mut device",
  "int": "i32",
  "int32_t": "i32",
  "uint32_t": "u32",
  "uint64_t": "u64",
  "size_t": "usize",
  "float": "f32",
  "double": "f64",
};

/** A parameter of C as the core's table has it, as in `In<f32>`. */
function rustOf(parameter: string): string {
  const [, isConst, type, isPointer] = /^(const )?(.+?)(\*)? \w+$/.exec(parameter)!;
  const name = TYPES[type!];
  assert.ok(name !== undefined, `"${type}" of "${parameter}" is known`);
  return isPointer ? `${isConst ? "In" : "Out"}<${name}>` : name;
}

/** Types of the parameters of each function. */
const declared = new Map(
  [...header.matchAll(/^BOWLINE_API \w+ bowline_(\w+)\(([^)]*)\);/gm)].map(([, name, parameters]) => {
    const list = parameters!.split(",").map((parameter) => parameter.trim().replaceAll(/\s+/g, " "));
    return [name!, list[0] === "void" ? [] : list.map(rustOf)];
  }),
);

Deno.test("the core calls every function of the header with the types that it has", () => {
  const calls = /^functions! \{$([^]*?)^\}$/m.exec(table)![1]!;
  const called = [...calls.matchAll(/(\w+)\(([^)]*)\);/g)].map(([, name, parameters]) =>
    [name!, ["Out<device>", ...[...parameters!.matchAll(/\w+: ([^,]+)/g)].map(([, type]) => type!)]] as const
  );
  // these are called before there is a device
  const first = ["kernels_abi", "device_count", "open"];
  assert.ok(called.length > 40);
  assert.deepEqual(new Map(called), new Map([...declared].filter(([name]) => !first.includes(name))));
});

Deno.test("the checks of a GPU call the header's functions with the types that they have", () => {
  for (const [symbol, { parameters }] of Object.entries(SYMBOLS)) {
    const wanted = declared.get(symbol.replace("bowline_", ""));
    assert.ok(wanted !== undefined && wanted.length === parameters.length, `${symbol} takes ${wanted}`);
    for (const [i, type] of wanted.entries()) {
      const isFit = /^(In|Out)</.test(type) ? ["usize", "buffer"].includes(parameters[i]!) : parameters[i] === type;
      assert.ok(isFit, `${symbol}: parameter ${i} is ${parameters[i]}, wanted ${type}`);
    }
  }
});

Deno.test("header and tables are of one version", () => {
  const versions = [/BOWLINE_KERNELS_ABI (\d+)/.exec(header), /const ABI: u32 = (\d+);/.exec(table)];
  assert.deepEqual(versions.map((version) => Number(version?.[1])), [ABI, ABI]);
});
