/**
 * The part of `@cliffy/command` this program uses, built on `commander`. Delete the `links` entry in deno.json to use
 * the real one. Rules for the caller: never write out `Command<...>` generics, use only the methods below, and call
 * `throwErrors()` on the outermost command.
 *
 * @module
 */
import { Argument, Command as Base, CommanderError, InvalidArgumentError, Option } from "commander";
import type { Action, ArgumentsOf, Builtins, OptionOf, OptionSpec } from "./types.ts";

export type { Action, ArgumentsOf, Builtins, OptionOf, OptionSpec, Simplify } from "./types.ts";

/** A set of allowed words. */
export class EnumType<const V extends string | number> {
  readonly #allowed: readonly V[];
  /** Makes a type from its values. */
  constructor(values: readonly V[]) {
    this.#allowed = values;
  }
  /** The allowed values. */
  values(): V[] {
    return [...this.#allowed];
  }
}

/** A wrong command line. */
export class ValidationError extends Error {
  /** Process exit code. */
  readonly exitCode: number;
  /** Makes an error that ends the program with `exitCode`. */
  constructor(message: string, options: { exitCode?: number } = {}) {
    super(message);
    this.name = "ValidationError";
    this.exitCode = options.exitCode ?? 2;
  }
}

type Parser = (text: string) => unknown;

const PARSERS: ReadonlyMap<string, Parser> = new Map<string, Parser>([
  ["integer", (text) => parsedNumber(text, "integer", Number.isSafeInteger)],
  ["number", (text) => parsedNumber(text, "number", Number.isFinite)],
  ["boolean", (text) => oneOf(["true", "false"], text) === "true"],
]);

function parsedNumber(text: string, type: string, accepts: (n: unknown) => boolean): number {
  const n = Number(text);
  if (text.trim() === "" || !accepts(n)) throw new InvalidArgumentError(`It must be of type "${type}".`);
  return n;
}

function oneOf(words: readonly string[], text: string): string {
  if (words.includes(text)) return text;
  throw new InvalidArgumentError(`Allowed values are ${words.map((word) => `"${word}"`).join(", ")}.`);
}

/** Drops the type of `<name:type>` and moves the dots of `<...name:type>` to where commander wants them. */
function commanderSyntax(text: string): string {
  return text.replace(/([<[])(\.\.\.)?([^:>\]]+)(?::[^>\]]+)?([>\]])/, "$1$3$2$4");
}

/** A command of the program. */
export class Command<O = Record<never, never>, A extends unknown[] = [], T extends Builtins = Builtins> {
  readonly #base: Base = new Base();
  readonly #enums = new Map<string, readonly string[]>();

  /** Makes an empty command. */
  constructor() {
    // Called where a command of commands is given none of them.
    this.#base.help = () => {
      this.showHelp();
      throw new CommanderError(0, "commander.help", "help was shown");
    };
    this.#base.exitOverride().helpOption("-h, --help", "Show this help.").configureHelp({ showGlobalOptions: true });
    this.#base.configureOutput({
      writeOut: (text) => Deno.stdout.writeSync(new TextEncoder().encode(text)),
      writeErr: () => {}, // an error is thrown, and printed once by whoever catches it
      // The defaults read FORCE_COLOR and the like, which needs --allow-env on a terminal.
      getOutHasColors: () => !Deno.noColor && Deno.stdout.isTerminal(),
      getErrHasColors: () => !Deno.noColor && Deno.stderr.isTerminal(),
      getOutHelpWidth: () => (Deno.stdout.isTerminal() && Deno.consoleSize().columns) || 100,
    });
  }

  /** Sets the program name. */
  name(name: string): this {
    this.#base.name(name);
    return this;
  }
  /** Sets the version and adds `--version`. */
  version(version: string): this {
    this.#base.version(version, "-V, --version", "Show the version number for this program.");
    return this;
  }
  /** Sets the text shown in help. */
  description(text: string): this {
    this.#base.description(text);
    return this;
  }
  /** Adds an example to the help. */
  example(name: string, text: string): this {
    this.#base.addHelpText("after", `\n${name}:\n  ${text.replaceAll("\n", "\n  ")}`);
    return this;
  }
  /** Throws errors to the caller of `parse`; this stand-in always does. */
  throwErrors(): this {
    return this;
  }
  /** Registers a named type for `<value:name>`. */
  type<N extends string, V extends string | number>(name: N, type: EnumType<V>): Command<O, A, T & { [K in N]: V }> {
    this.#enums.set(name, type.values().map(String));
    return this as unknown as Command<O, A, T & { [K in N]: V }>;
  }
  /** Declares the positional arguments. */
  arguments<const S extends string>(spec: S): Command<O, ArgumentsOf<S, T>, T> {
    for (const word of spec.split(" ")) this.#base.addArgument(new Argument(commanderSyntax(word)));
    return this as unknown as Command<O, ArgumentsOf<S, T>, T>;
  }
  /** Adds an option. */
  option<const F extends string, const S extends OptionSpec = Record<never, never>>(
    flags: F,
    description: string,
    spec?: S,
  ): Command<O & OptionOf<F, S, T>, A, T> {
    const option = new Option(commanderSyntax(flags), description);
    const type = /:([\w-]+)[>\]]$/.exec(flags)?.[1] ?? "string";
    const words = this.#enums.get(type);
    const one: Parser = words ? (text) => oneOf(words, text) : PARSERS.get(type) ?? ((text) => text);
    if (words) option.argChoices = [...words];
    if (option.variadic || spec?.collect) {
      option.argParser((text, before: unknown) => [...(Array.isArray(before) ? before : []), one(text)]);
    } else if (option.required || option.optional) option.argParser(one);
    if (spec?.default !== undefined) option.default(spec.default);
    if (spec?.required) option.makeOptionMandatory();
    if (spec?.hidden) option.hideHelp();
    this.#base.addOption(option);
    return this as unknown as Command<O & OptionOf<F, S, T>, A, T>;
  }
  /** Adds an option understood by every subcommand too. */
  globalOption<const F extends string, const S extends OptionSpec = Record<never, never>>(
    flags: F,
    description: string,
    spec?: S,
  ): Command<O & OptionOf<F, S, T>, A, T> {
    return this.option(flags, description, spec);
  }
  /** Sets what the command does. */
  action(run: Action<O, A>): this {
    this.#base.action(async (...all: unknown[]) => {
      const command = all.pop() as Base;
      all.pop(); // the command's own options: optsWithGlobals has them too
      const args = command.registeredArguments.at(-1)?.variadic ? all.flat() : all;
      await run(command.optsWithGlobals() as Parameters<Action<O, A>>[0], ...(args as A));
    });
    return this;
  }
  /** Adds a subcommand. */
  command<CO, CA extends unknown[], CT extends Builtins>(name: string, command: Command<CO, CA, CT>): this {
    this.#base.addCommand(command.#base.name(name));
    return this;
  }
  /** Prints the help. */
  showHelp(): void {
    this.#base.outputHelp();
  }
  /** Parses the arguments and runs the action; a command of commands that is given none of them shows its help. */
  async parse(args: readonly string[] = Deno.args): Promise<void> {
    try {
      await this.#base.parseAsync(args, { from: "user" });
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error;
      if (error.exitCode === 0) return;
      throw new ValidationError(error.message.replace(/^error: /, "").replaceAll("\n", " "));
    }
  }
}
