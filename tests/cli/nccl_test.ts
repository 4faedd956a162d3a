/** The engine for GPUs, on the emulated one, with a library in the place of NCCL. */
import assert from "node:assert/strict";
import { hasEmulator } from "../shared.ts";
import { Workspace } from "./program.ts";
import { largestDifference, numbers, shared } from "./ranks.ts";

const ignore = !hasEmulator();
const STAND_IN = new URL("../comm/nccl_stand_in.cpp", import.meta.url).pathname;

/** Builds the library that takes the place of NCCL. */
async function build(workspace: Workspace): Promise<string> {
  const library = workspace.at("libnccl.so");
  const args = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", STAND_IN, "-o", library];
  const { success } = await new Deno.Command(Deno.env.get("CXX") ?? "c++", { args }).output();
  assert.ok(success, "the stand-in does not build");
  return library;
}

/** A port whose next one, where ranks meet, was free a moment ago, and is none that systems give to connections. */
function freePort(): number {
  for (let port = 20_000 + Deno.pid % 5_000;; port++) {
    try {
      using _listener = Deno.listen({ hostname: "127.0.0.1", port: port + 1 });
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** The variables of rank `rank` of 2 as torchrun sets them. */
function torchrun(rank: number, port: number, library: string): Record<string, string> {
  const place = { RANK: String(rank), WORLD_SIZE: "2", LOCAL_RANK: String(rank) };
  return { ...place, MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(port), BOWLINE_NCCL: library };
}

Deno.test("2 processes with an emulated GPU each train as one does", { ignore }, async () => {
  await using workspace = await Workspace.make();
  const library = await build(workspace);
  const data = { ...shared.data, files: [workspace.text] };
  const small = { ...shared, train: { ...shared.train, steps: 3, batch: 2, accumulation: 1 } };
  const manifest = await workspace.write("shared.json", { ...small, eval: { every: 10, batches: 1 }, data });
  // in bf16 a sum in another order may round otherwise
  const where = ["--device", "cuda-emulated", "--precision", "f32"];
  const train = (out: string, ...more: string[]) => ["train", manifest, "--out", out, ...where, ...more];
  const port = freePort();
  const both = await Promise.all(
    [0, 1].map((rank) => workspace.runWith(torchrun(rank, port, library), ...train("two", "--steps", "2"))),
  );
  for (const [rank, { code, stderr }] of both.entries()) {
    assert.equal(code, 0, stderr);
    assert.match(stderr, new RegExp(`rank ${rank} of 2, nccl, cuda-emulated \\(emulator\\)`));
  }
  // one goes on from the moments of both
  for (const args of [train("two", "--resume"), train("one")]) {
    const { code, stderr } = await workspace.run(...args);
    assert.equal(code, 0, stderr);
  }
  const [of2, of1] = [await numbers(workspace, "two", 3), await numbers(workspace, "one", 3)];
  // sums in another order, multiplied by three updates
  for (const i of [0, 1] as const) {
    assert.ok(largestDifference(of2[i], of1[i]) <= 1e-5, `${largestDifference(of2[i], of1[i])}`);
  }
});

Deno.test("ranks with GPUs and no NCCL are told what is missing", { ignore }, async () => {
  await using workspace = await Workspace.make();
  const env = torchrun(0, freePort(), workspace.at("nowhere.so"));
  const { code, stderr } = await workspace.runWith(env, "train", workspace.manifest, "--device", "cuda-emulated");
  assert.equal(code, 2, stderr);
  assert.match(
    stderr,
    /error: Cannot make an id for ranks on device 0: the library of NCCL cannot be opened: .*nowhere\.so/,
  );
});
