/** `bowline doctor`: what this installation is and whether it is whole. */
import { Command } from "@cliffy/command";
import { messageOf } from "./errors.ts";

/** One line of the report. */
interface Finding {
  /** What was looked at. */
  readonly name: string;
  /** What it is. */
  readonly is: string;
  /** Whether it is as it should be. */
  readonly isGood: boolean;
}

/** The command `doctor`. */
// deno-lint-ignore explicit-module-boundary-types -- the type of a command is its options, inferred from the calls
export function doctorCommand() {
  return new Command()
    .description(
      "Check this installation: versions, native core, instruction set, threads, devices, permissions, corpus.",
    )
    .option("--json", "Print JSON.")
    .example("When something does not work", "bowline doctor")
    .example("For a bug report", "bowline doctor --json > doctor.json")
    .action(async ({ json }) => {
      const findings = await examine();
      console.log(json ? JSON.stringify(findings, null, 2) : await table(findings));
      if (findings.some((finding) => !finding.isGood)) Deno.exitCode = 1;
    });
}

async function examine(): Promise<Finding[]> {
  const { coreInfo, corePath, probe } = await import("../ffi/ts/library.ts");
  const { corpusFiles, corpusNames } = await import("./corpus.ts");
  const { describeEnvironment, VERSION } = await import("./run/environment.ts");
  const { cacheFolder } = await import("./cache.ts");
  const speed = async (threads: number) => `${(await probe(threads)).toFixed(0)} GFLOP/s`;
  return [
    await look("bowline", () => VERSION),
    await look("Deno", () => `${Deno.version.deno}, V8 ${Deno.version.v8}, TypeScript ${Deno.version.typescript}`),
    await look("system", () => `${Deno.build.os} ${Deno.build.arch}, ${navigator.hardwareConcurrency} cores`),
    await look("core", () => `${coreInfo().version}, ABI ${coreInfo().abi}, ${corePath()}`),
    await look("instructions", () => coreInfo().isa),
    await look("threads", () => String(coreInfo().threads)),
    await look("one thread", () => speed(1)),
    await look("all threads", () => speed(0)),
    await look("commit", () => {
      const { git } = describeEnvironment();
      return git === null ? "not a repository" : `${git.commit}${git.dirty ? ", changed" : ""}`;
    }),
    await look("device cpu", () => `${coreInfo().threads} threads, f32`),
    ...await Promise.all((["cuda", "cuda-emulated"] as const).map(device)),
    ...await nvidia(),
    ...await Promise.all((["read", "write", "ffi"] as const).map((name) => permission(name))),
    // An executable has no packages; it trains on files.
    ...await Promise.all(
      (Deno.build.standalone ? [] : corpusNames).map((name) =>
        look(`corpus ${name}`, () => `${corpusFiles(name).length} files`)
      ),
    ),
    await look("cache", cacheFolder),
  ];
}

/** A finding that is good unless asking fails. */
async function look(name: string, ask: () => string | Promise<string>): Promise<Finding> {
  try {
    return { name, is: await ask(), isGood: true };
  } catch (error) {
    return { name, is: messageOf(error), isGood: false };
  }
}

/** A device that need not be here: what it is, or what is missing. */
async function device(name: "cuda" | "cuda-emulated"): Promise<Finding> {
  const { deviceInfo } = await import("../ffi/ts/device.ts");
  const { bytes } = await import("./run/format.ts");
  const describe = () => {
    const { card } = deviceInfo({ device: name });
    if (card === null) return "no card";
    return `${card.name}, ${bytes(card.memory)}, ${bytes(card.free)} free, driver for CUDA ${card.driver}`;
  };
  const finding = await look(`device ${name}`, describe);
  return finding.isGood ? finding : { ...finding, is: `not here: ${finding.is}`, isGood: true };
}

/** The libraries that a GPU uses where they are; nothing where there are no kernels for one. */
async function nvidia(): Promise<Finding[]> {
  const { describe, hasKernels, OPTIONAL } = await import("./nvidia.ts");
  return hasKernels() ? await Promise.all(OPTIONAL.map((one) => look(one.name, () => describe(one)))) : [];
}

async function permission(name: "read" | "write" | "ffi"): Promise<Finding> {
  const { state } = await Deno.permissions.query({ name });
  // A permission for some paths only is reported as "prompt", and may well be enough.
  return {
    name: `--allow-${name}`,
    is: state === "prompt" ? "for some paths, or on request" : state,
    isGood: state !== "denied",
  };
}

async function table(findings: readonly Finding[]): Promise<string> {
  const { default: Table } = await import("cli-table3");
  const plain = { head: [], border: [] }; // colours would make the report hard to paste
  const table = new Table({
    head: ["", "what", "is"],
    style: plain,
    colWidths: [null, null, 90],
    wordWrap: true,
    wrapOnWordBoundary: false,
  });
  table.push(...findings.map(({ name, is, isGood }) => [isGood ? "ok" : "BAD", name, is]));
  return table.toString();
}
