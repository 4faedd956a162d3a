/** What `bowline doctor` says of libraries that only a GPU uses. */
import assert from "node:assert/strict";
import { describe, hasKernels, OPTIONAL } from "../../cli/nvidia.ts";
import { Workspace } from "./program.ts";

/** Runs `body` with a variable of the environment. */
async function withVariable(name: string, value: string, body: () => void | Promise<void>): Promise<void> {
  const before = Deno.env.get(name);
  Deno.env.set(name, value);
  try {
    await body();
  } finally {
    if (before === undefined) Deno.env.delete(name);
    else Deno.env.set(name, before);
  }
}

Deno.test("libraries are looked for by the names that the kernels use", async () => {
  const source = async (file: string) => await Deno.readTextFile(new URL(`../../kernels/${file}`, import.meta.url));
  const names = (text: string, stem: string) =>
    [...text.matchAll(new RegExp(`"(${stem}\\.so[.\\d]*)"`, "g"))].map(([, name]) => name);
  const [cublas, nccl] = OPTIONAL;
  assert.deepEqual(cublas!.files, names(await source("cublas.cu"), "libcublas"));
  assert.deepEqual(nccl!.files, names(await source("nccl.cu"), "libnccl"));
  for (const [one, file] of [[cublas!, "cublas.cu"], [nccl!, "nccl.cu"]] as const) {
    assert.ok((await source(file)).includes(`getenv("${one.variable}")`), one.variable);
  }
});

Deno.test("a library that is there is named, one that is not says what that means", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  const one = { name: "a", variable: "BOWLINE_TEST_LIBRARY", files: ["libnot-here.so.3", "libm.so.6"], without: "x" };
  assert.equal(describe(one), "libm.so.6");
  const missing = { ...one, files: ["libnot-here.so.3"] };
  assert.match(describe(missing), /^not here, so that x: libnot-here\.so\.3: /);
  await withVariable(one.variable, "libm.so.6", () => assert.equal(describe(missing), "libm.so.6"));
  await withVariable(one.variable, "off", () => assert.equal(describe(one), "off by BOWLINE_TEST_LIBRARY: x"));
});

Deno.test("doctor tells of them where there are kernels for GPUs, and finds nothing wrong without", async () => {
  await using workspace = await Workspace.make();
  await Deno.mkdir(workspace.at("kernels"));
  workspace.env["BOWLINE_KERNELS"] = workspace.at("kernels");
  const found = async () => {
    const { code, stdout, stderr } = await workspace.run("doctor", "--json");
    assert.equal(code, 0, stderr);
    const findings: { name: string; is: string }[] = JSON.parse(stdout);
    return findings.filter(({ name }) => OPTIONAL.some((one) => one.name === name));
  };
  assert.deepEqual(await found(), []);
  await Deno.writeTextFile(workspace.at("kernels", "libbowline_cuda.so"), "not a library");
  workspace.env["BOWLINE_NCCL"] = "nowhere/libnccl.so";
  const [cublas, nccl] = await found();
  assert.equal(cublas!.name, "cuBLAS");
  assert.match(nccl!.is, /^not here, so that several processes cannot train on GPUs: .*nowhere\/libnccl\.so/);
  await withVariable("BOWLINE_KERNELS", workspace.at("kernels"), () => assert.ok(hasKernels()));
});
