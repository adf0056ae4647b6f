"""Asks a Triton server for the logits of a model that `assay triton` wrote. Needs tokenizers and tritonclient[http].

    assay triton bundles/osmosis models
    tritonserver --model-repository models --model-control-mode explicit --load-model osmosis_cpu
    python examples/triton_client.py models/osmosis_cpu "What causes rain?" "Rain forms when water vapor condenses."

It was not run against a Triton server: the tests compare what it sends with the bundle's tokenizer and graph.
"""

import json
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

BUCKETS = (32, 64, 128, 256, 384, 512)
"""Requests share a run only if their rows have the same length, so rows are padded to one of few lengths."""


class Client:
    """A model on a server."""

    def __init__(self, model: Path, url: str = "localhost:8000") -> None:
        """Read tokenizer.json and assay.json from `model`, the model's folder in the repository."""
        self.name = model.name
        self.url = url
        self.about = json.loads((model / "assay.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = self.about["special_tokens"].get("split_special_tokens", False)
        side = (self.tokenizer.truncation or {}).get("direction", "right")
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        if self.about["truncation"] == "longest_first":
            self.tokenizer.enable_truncation(self.about["max_length"], strategy="longest_first", direction=side)

    def inputs(self, text: str, text_pair: str | None = None) -> dict[str, np.ndarray]:
        """Return one row, padded on the right: each input int64 [1, sequence]. Send those that the model has."""
        encoded = self.tokenizer.encode(text, text_pair or None)
        length, most = len(encoded.ids), self.about["max_length"]
        if length > most:
            raise ValueError(f"the text has {length} tokens, the model reads {most}")
        bucket = next((bucket for bucket in BUCKETS if length <= bucket), -(-length // 512) * 512)
        padding = max(length, min(bucket, most)) - length
        pad = self.about["special_tokens"]["pad_token_id"] or 0
        rows = {
            "input_ids": encoded.ids + [pad] * padding,
            "attention_mask": [1] * length + [0] * padding,
            "token_type_ids": encoded.type_ids + [0] * padding,
        }
        return {name: np.array([row], dtype=np.int64) for name, row in rows.items()}

    def logits(self, text: str, text_pair: str | None = None) -> np.ndarray:
        """Return the logits from the server, float32 [labels]."""
        from tritonclient import http

        server = http.InferenceServerClient(self.url)
        wanted = {field["name"] for field in server.get_model_metadata(self.name)["inputs"]}
        inputs = []
        for name, row in self.inputs(text, text_pair).items():
            if name in wanted:
                inputs.append(http.InferInput(name, list(row.shape), "INT64"))
                inputs[-1].set_data_from_numpy(row)
        answer: np.ndarray = server.infer(self.name, inputs).as_numpy("logits")[0]
        return answer


if __name__ == "__main__":
    client = Client(Path(sys.argv[1]))
    print(dict(zip(client.about["labels"], client.logits(*sys.argv[2:4]).tolist(), strict=True)))
