/** Data on a hub: a server in this process that answers like one, can be told to hang, and whose branch moves. */
import assert from "node:assert/strict";
import { micro, words, Workspace } from "./program.ts";

/** A dataset `org/set` with one file. */
class Hub implements AsyncDisposable {
  /** Commit that `main` stands for. */
  commit = "a".repeat(40);
  /** The file at each commit. */
  readonly files: Record<string, Uint8Array<ArrayBuffer>> = {};
  /** What a request for content gets in place of it. */
  fault: (() => Promise<Response> | Response) | undefined;
  /** Called for every request for content. */
  onContent = () => {};
  readonly #server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => this.#answer(request),
  );

  /** Makes it the hub of the programs that are started from here. */
  constructor() {
    Deno.env.set("HF_ENDPOINT", `http://127.0.0.1:${this.#server.addr.port}`);
  }

  #answer(request: Request): Promise<Response> | Response {
    const path = new URL(request.url).pathname;
    const [, commit] = /\/(?:tree|resolve)\/(\w+)/.exec(path) ?? [];
    if (path.includes("/revision/")) return Response.json({ sha: this.commit });
    const file = this.files[commit!];
    if (!file) return new Response(null, { status: 404 });
    if (path.includes("/tree/")) {
      return Response.json([{ type: "file", path: "a.jsonl", size: file.length, oid: commit }]);
    }
    this.onContent();
    if (this.fault) return this.fault();
    const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.get("range")!)!;
    const headers = { etag: `"${commit}"`, "content-range": `bytes ${first}-${last}/${file.length}` };
    return new Response(file.slice(Number(first), Number(last) + 1), { status: 206, headers });
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    Deno.env.delete("HF_ENDPOINT");
    await this.#server.shutdown();
  }
}

function lines(from: number): Uint8Array<ArrayBuffer> {
  const line = (_: unknown, at: number) => `${JSON.stringify({ text: words(from + at) })}\n`;
  return new TextEncoder().encode(Array.from({ length: 60 }, line).join(""));
}

/** A manifest that trains on the dataset. */
const remote = {
  ...micro,
  name: "remote",
  data: {
    sources: [{ name: "set", paths: ["hf://datasets/org/set"], weight: 1 }],
    tokenizer: { kind: "train-bpe", vocab: 320 },
    heldOut: { kind: "documents", every: 10, index: 3 },
    shuffleBuffer: 16,
  },
};

Deno.test("Ctrl-C ends a command that waits for a hub", async (t) => {
  await using hub = new Hub();
  await using workspace = await Workspace.make();
  hub.files[hub.commit] = lines(30);
  const manifest = await workspace.write("remote.json", remote);
  const hanging = Promise.withResolvers<Response>();
  const faults = {
    "that is silent": () => hanging.promise,
    "that asks for patience": () => new Response(null, { status: 429, headers: { "retry-after": "300" } }),
  };
  const commands = {
    inspect: ["data", "inspect", "hf://datasets/org/set"],
    tokenize: ["data", "tokenize", "hf://datasets/org/set", "--tokenizer", "bytes", "--out", "tokens"],
    train: ["train", manifest, "--out", "run"],
  };
  for (const [what, fault] of Object.entries(faults)) {
    for (const [command, args] of Object.entries(commands)) {
      await t.step(`${command}, and one ${what}`, async () => {
        const asked = Promise.withResolvers<void>();
        [hub.fault, hub.onContent] = [fault, asked.resolve];
        const child = workspace.start(...args);
        await asked.promise;
        const start = performance.now();
        child.kill("SIGINT");
        const { code, stderr } = await child.output();
        assert.equal(code, 130, new TextDecoder().decode(stderr));
        // Far below the 30 s and 300 s that are cut short, far above what a busy machine needs.
        assert.ok(performance.now() - start < 10_000, `${performance.now() - start} ms`);
      });
    }
  }
  hanging.resolve(new Response(null, { status: 503 }));
});

Deno.test("a run on a branch that has moved goes on with the files that it began with", async () => {
  await using hub = new Hub();
  await using workspace = await Workspace.make();
  hub.files[hub.commit] = lines(30);
  const manifest = await workspace.write("remote.json", remote);
  const train = async (out: string, ...args: string[]) => {
    const outcome = await workspace.run("train", manifest, "--out", out, ...args);
    assert.equal(outcome.code, 0, outcome.stderr);
  };
  await train("straight");
  await train("moved", "--steps", "10");
  const began = hub.commit;
  hub.commit = "b".repeat(40);
  hub.files[hub.commit] = lines(50);
  await train("moved", "--resume");
  assert.deepEqual(await workspace.tensors("moved", 20), await workspace.tensors("straight", 20));
  const starts = (await workspace.events("moved")).filter(({ type }) => type === "start");
  const commits = { "hf://datasets/org/set@main": began };
  assert.deepEqual(starts.map(({ data }) => (data as { commits: unknown }).commits), [commits, commits]);
});
