"""One fresh process: imports an implementation, loads a model, answers one row, and prints when each was done.

    python -m benchmarks.engines.first_answer KIND ARGUMENTS

ARGUMENTS is the JSON of the function KIND's arguments. The JSON on standard output has the clock (`time.monotonic`,
which all processes of a machine share) when Python had started, and after the imports, the loading and the answer.
Nothing is imported that a user of KIND would not import.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["KINDS"]

Steps = Iterator[None]
"""Yields after the imports, after the loading and after the answer. Freeing the model afterwards is not timed."""


def answer_assay(bundle: str, variant: str, row: list[str], verify: bool = True) -> Steps:
    """Use the public API of the runtime, by default with the hashes of all files checked."""
    import assay

    yield
    model = assay.load(bundle, variant=variant, verify=verify)
    yield
    model.logits([row[0] if len(row) == 1 else (row[0], row[1])])
    yield


def answer_openvino(model: str, tokenizer: str, row: list[str], cache: str | None) -> Steps:
    """Compile for latency, with OpenVINO's model cache in the folder `cache` if one is given."""
    import numpy as np
    import openvino
    from tokenizers import Tokenizer

    yield
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"} | ({"CACHE_DIR": cache} if cache else {})
    words = Tokenizer.from_file(tokenizer)
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    yield
    ids = np.array([words.encode(*row).ids], np.int64)
    request.infer({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    yield


def answer_transformers(checkpoint: str, tokenizer: str, row: list[str]) -> Steps:
    """Use the Auto classes in float32."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    yield
    words = AutoTokenizer.from_pretrained(tokenizer)
    loaded: Any = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, dtype=torch.float32, local_files_only=True
    )
    model = loaded.eval()
    yield
    with torch.inference_mode():
        model(**words(*row, return_tensors="pt"))
    yield


KINDS: dict[str, Callable[..., Steps]] = {
    "assay": answer_assay,
    "openvino": answer_openvino,
    "transformers": answer_transformers,
}


def main() -> None:
    """Take the steps named on the command line."""
    times = [time.monotonic()]
    for _ in KINDS[sys.argv[1]](**json.loads(sys.argv[2])):
        times.append(time.monotonic())
    print(json.dumps(times))


if __name__ == "__main__":
    main()
