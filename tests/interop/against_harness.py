"""Compares `bowline eval` with lm-evaluation-harness on the same model and rows, document by document.

    python3 -m venv VENV && VENV/bin/pip install -r tests/interop/requirements.txt
    VENV/bin/python tests/interop/against_harness.py --model HF_FOLDER --data ROWS --tasks arc_easy,winogrande,openbookqa

The model is a folder of Hugging Face transformers that `bowline import` reads; where it has no tokenizer.json, one of its
vocabulary is trained on the rows. Every choice must be the same, and every log-likelihood within 1e-3 nats: both compute
in f32, in other orders of summation, which moves a sum over a hundred tokens by about 1e-4.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
SEPARATOR = "<|endoftext|>"
WITHIN = 1e-3


def bowline(*args):
    subprocess.run(["npx", "-y", "deno", "task", "bowline", *map(str, args)], cwd=HERE.parent.parent, check=True)


def with_tokenizer(model, rows, tasks, folder):
    """A copy of the model's folder with a tokenizer of its vocabulary, trained on the rows of the tasks."""
    copy = folder / "model"
    copy.mkdir()
    for path in model.iterdir():
        shutil.copyfile(path, copy / path.name)
    if (copy / "tokenizer.json").exists():
        return copy
    vocab = json.loads((copy / "config.json").read_text())["vocab_size"]
    text = folder / "text.txt"
    files = sorted(path for task in tasks for path in rows.glob(f"{task}.*"))
    text.write_text("\n".join(read(path) for path in files))
    bowline("data", "train-tokenizer", text, "--vocab", vocab, "--out", copy / "tokenizer.json")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SEPARATOR, "eos_token": SEPARATOR}
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    return copy


def read(path):
    command = ["zstd", "-dc", path] if path.suffix == ".zst" else ["cat", path]
    return subprocess.run(command, check=True, capture_output=True).stdout.decode()


def samples(folder, task):
    (path,) = folder.rglob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def compare(task, ours, theirs):
    """Prints a line; whether all is as it should be."""
    assert len(ours) == len(theirs), f"{task}: {len(ours)} documents, the harness has {len(theirs)}"
    worst, choices, greedy, hashes = 0.0, 0, 0, 0
    for one, other in zip(ours, theirs, strict=True):
        values = [[float(value) for value, _ in sample["filtered_resps"]] for sample in (one, other)]
        differences = [abs(a - b) for a, b in zip(*values, strict=True)]
        # A difference that is no number must not pass.
        worst = max([worst, *(d if d == d else float("inf") for d in differences)])
        choices += values[0].index(max(values[0])) == values[1].index(max(values[1]))
        greedy += [flag for _, flag in one["filtered_resps"]] == [flag for _, flag in other["filtered_resps"]]
        hashes += all(one[key] == other[key] for key in ("doc_hash", "prompt_hash", "target_hash", "arguments"))
    count = len(ours)
    print(f"{task}: {count} documents, {choices} same choices, {greedy} same greedy, {hashes} same hashes, largest difference {worst:.2e}")
    return choices == greedy == hashes == count and worst <= WITHIN


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--tasks", default="arc_easy,winogrande,openbookqa")
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--limit", type=int, default=200)
    args = parser.parse_args()
    tasks = args.tasks.split(",")
    rows = args.data.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = with_tokenizer(args.model.resolve(), rows, tasks, folder)
        shared = ["--data", rows, "--tasks", args.tasks, "--shots", args.shots, "--limit", args.limit]
        bowline("import", model, "--separator", SEPARATOR, "--out", folder / "run")
        bowline("eval", folder / "run", *shared, "--out", folder / "ours")
        command = [sys.executable, HERE / "harness.py", "--model", model, *shared, "--out", folder / "theirs"]
        subprocess.run(list(map(str, command)), check=True)
        same = [compare(task, samples(folder / "ours", task), samples(folder / "theirs", task)) for task in tasks]
    sys.exit(0 if all(same) else 1)


main()
