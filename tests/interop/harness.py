"""Runs lm-evaluation-harness over local rows and writes its results and samples as its command line does.

The rows are files <task>.<split>.jsonl or .jsonl.zst in a folder, with the columns that the published data sets have.
The model is a Hugging Face folder, or `hash`: a log-likelihood that is a hash of the request, which needs no weights.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess

import datasets
from lm_eval import evaluator, utils
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.loggers import EvaluationTracker


class HashModel(LM):
    """-5 - 20 u, u the first 6 bytes of sha256(context NUL continuation) as a fraction."""

    def loglikelihood(self, requests):
        return [(score(*request.args), len(request.args[0]) % 2 == 0) for request in requests]

    def loglikelihood_rolling(self, requests):
        return [score("", request.args[0]) for request in requests]

    def generate_until(self, requests):
        raise NotImplementedError


def score(context, continuation):
    digest = hashlib.sha256(f"{context}\0{continuation}".encode()).digest()
    return -5 - 20 * int.from_bytes(digest[:6], "big") / 2**48


def read(path):
    text = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout if path.suffix == ".zst" else path.read_bytes()
    return [json.loads(line) for line in text.decode().split("\n") if line]


def local_rows(folder, task):
    """The splits of a task that lie in the folder."""
    files = sorted(path for path in folder.iterdir() if path.name.startswith(f"{task}."))
    return datasets.DatasetDict({path.name.split(".")[1]: datasets.Dataset.from_list(read(path)) for path in files})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--bootstrap-iters", type=int, default=100000)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    names = args.tasks.split(",")
    ConfigurableTask.download = lambda task, *_, **__: setattr(task, "dataset", local_rows(args.data, task.config.task))
    tracker = EvaluationTracker(output_path=args.out)
    if args.model == "hash":
        model, model_args = HashModel(), None
    else:
        model, model_args = "hf", f"pretrained={args.model},dtype=float32,device=cpu"
    results = evaluator.simple_evaluate(
        model=model,
        model_args=model_args,
        tasks=names,
        num_fewshot=args.shots,
        limit=args.limit,
        batch_size=args.batch,
        bootstrap_iters=args.bootstrap_iters,
        log_samples=True,
        evaluation_tracker=tracker,
    )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in names:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    print(utils.make_table(results))


main()
