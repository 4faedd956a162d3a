/** `bowline experiments submit`: scripts that bash understands, and that do what they say. */
import assert from "node:assert/strict";
import { assertMistake } from "./mistakes.ts";
import { FLAGS, MAIN, Workspace } from "./program.ts";

/** Runs a command of the system in the workspace. */
async function system(workspace: Workspace, command: string, ...args: string[]) {
  const env = { BOWLINE_CACHE: workspace.at("cache"), NO_COLOR: "1" };
  const { code, stdout, stderr } = await new Deno.Command(command, { args, cwd: workspace.path, env }).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

async function submit(workspace: Workspace, ...args: string[]): Promise<void> {
  const { code, stderr } = await workspace.run("experiments", "submit", "--out", "jobs", ...args);
  assert.equal(code, 0, stderr);
}

/** Every script below a folder, as paths in it. */
function scriptsIn(folder: string, below = ""): string[] {
  return [...Deno.readDirSync(`${folder}/${below}`)].flatMap(({ name, isDirectory }) =>
    isDirectory ? scriptsIn(folder, `${below}${name}/`) : [`${below}${name}`]
  ).sort();
}

async function assertParse(workspace: Workspace): Promise<void> {
  const paths = scriptsIn(workspace.at("jobs")).map((name) => workspace.at("jobs", name));
  for (const path of paths) {
    const { code, stderr } = await system(workspace, "bash", "-n", path);
    assert.equal(code, 0, `${path}: ${stderr}`);
  }
}

/** A program that does half the work and fails when it is started for the first time, then works as usual. */
async function writeFlaky(workspace: Workspace): Promise<string> {
  const program = [Deno.execPath(), ...FLAGS, MAIN].map((word) => `'${word}'`).join(" ");
  const script = `if mkdir started 2>/dev/null; then ${program} "$@" --steps 10; kill -KILL $$; fi
exec ${program} "$@"
`;
  await Deno.writeTextFile(workspace.at("flaky.sh"), script);
  return "bash flaky.sh";
}

Deno.test("experiments submit writes a slurm job per run of the ablation, with one GPU", async () => {
  await using workspace = await Workspace.make();
  await submit(workspace, "--study", "ablation", "--scheduler", "slurm", "--directive=--partition=gpu");
  const scripts = scriptsIn(workspace.at("jobs"));
  assert.equal(scripts.length, 44);
  await assertParse(workspace);
  const job = await Deno.readTextFile(workspace.at("jobs/ablation/small/baseline_32.sh"));
  for (
    const line of [
      "#SBATCH --job-name=ablation/small/baseline_32",
      "#SBATCH --gpus-per-node=1",
      "#SBATCH --requeue",
      "#SBATCH --partition=gpu",
    ]
  ) {
    assert.ok(job.split("\n").includes(line), line);
  }
  assert.ok(job.includes(` train ablation/small/baseline_32 --out ${workspace.at("runs/ablation/small/baseline_32")}`));
});

Deno.test("experiments submit gives the main runs 4 GPUs", async () => {
  await using workspace = await Workspace.make();
  for (const scheduler of ["slurm", "shell"]) {
    await submit(workspace, "--study", "main", "--section", "tiny", "--scheduler", scheduler, "--force");
    await assertParse(workspace);
    const job = await Deno.readTextFile(workspace.at("jobs/olmoe-tiny-g4.sh"));
    assert.match(job, scheduler === "slurm" ? /^#SBATCH --gpus-per-node=4$/m : /CUDA_VISIBLE_DEVICES.*0,1,2,3/);
    assert.deepEqual(job.match(/--device \S+(?=[ )])/g), ["--device cuda"]);
    // one process for each
    assert.match(
      job,
      scheduler === "slurm" ? /^train=\(srun --ntasks-per-node=4 --kill-on-bad-exit=1 /m : /^train=\(mpirun -n 4 /m,
    );
  }
});

Deno.test("a slurm job goes back into the queue after a failure and at its time limit, but not for ever", async () => {
  await using workspace = await Workspace.make();
  // A queue of one: sbatch runs the job, scontrol takes note of what it is asked.
  const bin = workspace.at("bin");
  await Deno.mkdir(bin);
  await Deno.writeTextFile(`${bin}/sbatch`, 'exec bash "$1"\n', { mode: 0o755 });
  await Deno.writeTextFile(`${bin}/scontrol`, 'echo "$@" >> asked\n', { mode: 0o755 });
  const program = "bash program.sh";
  await submit(workspace, workspace.manifest, "--scheduler", "slurm", "--retries", "2", "--program", program);
  const run = async (script: string, count: number) => {
    await Deno.writeTextFile(workspace.at("program.sh"), script);
    await Deno.writeTextFile(workspace.at("asked"), "");
    const line = `PATH=${bin}:$PATH SLURM_JOB_ID=7 SLURM_RESTART_COUNT=${count} bash jobs/submit.sh`;
    const { code } = await system(workspace, "bash", "-c", line);
    return { code, asked: await Deno.readTextFile(workspace.at("asked")) };
  };
  const requeued = "requeue 7\n";
  assert.deepEqual(await run("exit 0", 0), { code: 0, asked: "" });
  assert.deepEqual(await run("exit 1", 1), { code: 1, asked: requeued });
  assert.deepEqual(await run("exit 1", 2), { code: 1, asked: "" });
  assert.deepEqual(await run("exit 2", 0), { code: 1, asked: "" });
  // The signal comes to the script, which passes it on and waits for the checkpoint.
  const slow = 'trap "touch saved; exit 130" TERM; kill -TERM $PPID; while :; do sleep 0.01; done';
  assert.deepEqual(await run(slow, 0), { code: 1, asked: requeued });
  await Deno.stat(workspace.at("saved"));
});

Deno.test("a shell script starts a run again after a failure, and the run goes on", async () => {
  await using workspace = await Workspace.make();
  await submit(
    workspace,
    workspace.manifest,
    "--scheduler",
    "shell",
    "--device",
    "cpu",
    "--program",
    await writeFlaky(workspace),
  );
  const { code, stderr } = await system(workspace, "bash", "jobs/submit.sh");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^micro: attempt 1 of 6 ended with exit code 137$/m);
  const events = await workspace.events("runs/micro");
  const steps = (type: string) => events.filter((event) => event.type === type).map((event) => event.step);
  assert.deepEqual(steps("start"), [0, 10]);
  assert.deepEqual(steps("step"), Array.from({ length: 20 }, (_, i) => i + 1));
  assert.equal(events.at(-1)!["reason"], "complete");
});

Deno.test("a shell script gives up after its retries, and at once where they would not help", async () => {
  await using workspace = await Workspace.make();
  const other = await workspace.write("second run.json", {
    ...JSON.parse(await Deno.readTextFile(workspace.manifest)),
    name: "second",
  });
  const program = "bash 'a program.sh'";
  await submit(
    workspace,
    workspace.manifest,
    other,
    "--scheduler",
    "shell",
    "--device",
    "cpu",
    "--retries",
    "2",
    "--program",
    program,
  );
  for (const [exit, attempts] of [[1, 3], [2, 1]] as const) {
    const script = `echo "$2" >> attempts; case $2 in */micro.json) exit ${exit} ;; esac`;
    await Deno.writeTextFile(workspace.at("a program.sh"), script);
    await Deno.writeTextFile(workspace.at("attempts"), "");
    const { code, stderr } = await system(workspace, "bash", "jobs/submit.sh");
    assert.equal(code, 1);
    assert.match(stderr, /^error: 1 of 2 failed: micro\.sh$/m);
    const expected = [...Array.from({ length: attempts }, () => workspace.manifest), other, ""].join("\n");
    assert.equal(await Deno.readTextFile(workspace.at("attempts")), expected, "the rest still runs");
  }
});

Deno.test("bowline experiments submit refuses", async (t) => {
  await using workspace = await Workspace.make();
  const jobs = ["--out", "jobs"];
  const refuses = (name: string, args: string[], says: RegExp) =>
    t.step(name, () => assertMistake(workspace, ["experiments", "submit", ...args], says));
  const { manifest } = workspace;
  await refuses("an unknown scheduler", [manifest, ...jobs, "--scheduler", "pbs"], /--scheduler.*pbs.*slurm.*shell/);
  await refuses("no scheduler", [manifest, ...jobs], /--scheduler/);
  await refuses("no folder", [manifest, "--scheduler", "shell"], /--out/);
  await refuses("an unknown study", ["--study", "nanoo", ...jobs, "--scheduler", "shell"], /nanoo.*nano/);
  await refuses("negative retries", [manifest, ...jobs, "--scheduler", "shell", "--retries=-1"], /--retries -1/);
  await refuses(
    "directives for a shell",
    [manifest, ...jobs, "--scheduler", "shell", "--directive", "x"],
    /--directive.*slurm/,
  );
  await submit(workspace, manifest, "--scheduler", "shell");
  await refuses("scripts that are there", [manifest, ...jobs, "--scheduler", "slurm"], /micro\.sh.*--force/);
});
