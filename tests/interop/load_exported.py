"""Loads exported folders in Hugging Face transformers, on the CPU, and prints as JSON what they compute.

Reads from standard input {"folders": [...], "ids": [[...], ...], "text": "..."}; `ids` is a batch of sequences of one
length. Prints {"versions": {...}, "models": {folder: {...}}}.
"""

import json
import sys
import tempfile

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPT = 8
NEW = 16


def load(folder: str) -> tuple[torch.nn.Module, dict]:
    """The model in the type of its file, and what the loading had to say."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
    return model.eval(), info


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference over the largest value."""
    return float((a - b).abs().max() / b.abs().max())


@torch.no_grad()
def check(folder: str, ids: torch.Tensor, text: str) -> dict:
    model, info = load(folder)
    logits = model(ids).logits
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    prompt = ids[:1, :PROMPT]
    # Without an end, the text has its full length.
    model.generation_config.eos_token_id = None
    written = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW, do_sample=False)
    # The same sequence behind padding, which must not be seen.
    pad = torch.zeros_like(ids[:1, :3])
    padded = torch.cat([pad, ids[:1]], dim=1)
    mask = torch.cat([pad, torch.ones_like(ids[:1])], dim=1)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    behind = model(padded, attention_mask=mask, position_ids=positions).logits[:, pad.shape[1] :]
    with tempfile.TemporaryDirectory() as again:
        model.save_pretrained(again)
        reloaded, reloaded_info = load(again)
        saved = reloaded(ids).logits
    return {
        "class": type(model).__name__,
        "logits": logits.float().flatten().tolist(),
        "numbers": sum(parameter.numel() for parameter in model.parameters()),
        "missing": sorted(info["missing_keys"]) + sorted(reloaded_info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]) + sorted(info["mismatched_keys"]),
        "greedy": written[0].tolist(),
        "padded": difference(behind, logits[:1]),
        "resaved": difference(saved, logits),
        "tokens": tokenizer(text)["input_ids"],
        "decoded": tokenizer.decode(tokenizer(text)["input_ids"]),
        "separators": [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id],
        "dtype": str(model.dtype),
    }


def main() -> None:
    request = json.load(sys.stdin)
    ids = torch.tensor(request["ids"])
    models = {folder: check(folder, ids, request["text"]) for folder in request["folders"]}
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    json.dump({"versions": versions, "models": models}, sys.stdout)


if __name__ == "__main__":
    main()
