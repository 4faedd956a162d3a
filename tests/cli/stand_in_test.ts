/** The parts of the JSR packages that stand-ins provide; the same must hold for the real ones. */
import assert from "node:assert/strict";
import { Command, EnumType, ValidationError } from "@cliffy/command";
import { TextLineStream } from "@std/streams";

/** A command line of every kind of option, and what its action got. */
async function parse(...args: string[]): Promise<{ options: unknown; args: unknown[] }> {
  let got: { options: unknown; args: unknown[] } | undefined;
  const sub = new Command()
    .type("color", new EnumType(["red", "blue"]))
    .arguments("<first:string> [...rest:string]")
    .option("-n, --num-steps <n:integer>", "An integer.")
    .option("--rate <x:number>", "A number.", { default: 0.5 as number })
    .option("--color <color:color>", "One of a few.")
    .option("--set <pair:string>", "Repeatable.", { collect: true })
    .option("--data <...files:file>", "Several.")
    .option("--flag", "On or off.")
    .action((options, ...args) => {
      // The types follow from the texts above: this line does not compile if they do not.
      const typed: { numSteps?: number | undefined; rate: number; color?: "red" | "blue" | undefined } = options;
      got = { options: typed, args };
    });
  await new Command().name("program").version("1.2.3").throwErrors().command("sub", sub).parse(args);
  assert.ok(got);
  return got;
}

Deno.test("Command.parse() gives an action its options and arguments", async () => {
  const line = "sub a b c -n 3 --rate 1e-3 --color blue --set x=1 --set y=2 --flag --data p q";
  const { options, args } = await parse(...line.split(" "));
  assert.deepEqual(args, ["a", "b", "c"]);
  assert.deepEqual({ ...options as object }, {
    numSteps: 3,
    rate: 0.001,
    color: "blue",
    set: ["x=1", "y=2"],
    flag: true,
    data: ["p", "q"],
  });
});

Deno.test("Command.parse() leaves out what is not given, but for defaults", async () => {
  assert.deepEqual({ ...(await parse("sub", "a")).options as object }, { rate: 0.5 });
});

Deno.test("Command.parse() throws a ValidationError with exit code 2", async (t) => {
  const wrong: Record<string, string[]> = {
    "an integer that is none": ["sub", "a", "-n", "1.5"],
    "a number that is none": ["sub", "a", "--rate", "fast"],
    "a word that is not allowed": ["sub", "a", "--color", "green"],
    "an unknown option": ["sub", "a", "--colour", "red"],
    "a missing value": ["sub", "a", "--rate"],
    "a missing argument": ["sub"],
    "an unknown command": ["sup"],
  };
  for (const [name, args] of Object.entries(wrong)) {
    await t.step(name, async () => {
      await assert.rejects(parse(...args), (error) => error instanceof ValidationError && error.exitCode === 2);
    });
  }
});

Deno.test("TextLineStream cuts at line ends, wherever the chunks are cut", async () => {
  const lines = async (...chunks: string[]) =>
    await Array.fromAsync(ReadableStream.from(chunks).pipeThrough(new TextLineStream()));
  assert.deepEqual(await lines("a\nb\r\nc"), ["a", "b", "c"]);
  assert.deepEqual(await lines("a", "b\n", "\nc", "\n"), ["ab", "", "c"]);
  assert.deepEqual(await lines("a\r", "\nb\n"), ["a", "b"]);
  assert.deepEqual(await lines(), []);
});
