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

/** A port that was free a moment ago, and so was the next one. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port - 1;
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
  const train = (out: string) => ["train", manifest, "--out", out, "--device", "cuda-emulated"];
  const port = freePort();
  const both = await Promise.all(
    [0, 1].map((rank) => workspace.runWith(torchrun(rank, port, library), ...train("two"))),
  );
  for (const [rank, { code, stderr }] of both.entries()) {
    assert.equal(code, 0, stderr);
    assert.match(stderr, new RegExp(`rank ${rank} of 2, nccl, cuda-emulated`));
  }
  const one = await workspace.run(...train("one"));
  assert.equal(one.code, 0, one.stderr);
  const [of2, of1] = [await numbers(workspace, "two", 3), await numbers(workspace, "one", 3)];
  // sums in another order, multiplied by three updates
  for (const i of [0, 1] as const) {
    assert.ok(largestDifference(of2[i], of1[i]) <= 1e-5, `${largestDifference(of2[i], of1[i])}`);
  }
  const resumed = await workspace.run(...train("two"), "--resume");
  assert.equal(resumed.code, 0, resumed.stderr);
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
