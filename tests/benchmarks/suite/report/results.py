"""A small results.json, made by hand: its numbers are known."""

from typing import Any

LOGITS = [[2.0, -1.0], [-3.0, 1.0], [0.5, 0.2], [4.0, -2.0]]


def results() -> dict[str, Any]:
    """torch-fp32 is the baseline; assay-int8 takes half its time; optimum-int8 is fastest and wrong; openvino-int8
    crashed in the second round; sentence-transformers is absent."""
    peers = ["torch-fp32", "assay-int8", "optimum-int8", "openvino-int8"]
    samples: list[dict[str, Any]] = [
        {"kind": "peaks", "load_average": 0.5, "fp32": 1e12, "int8": 4e12},
        {"kind": "peaks", "load_average": 0.7, "fp32": 2e12, "int8": 3e12},
    ]
    for peer in peers:
        samples.append({"kind": "size", "peer": peer, "files_bytes": 10_000_000, "environment_bytes": 200_000_000})
        samples.append({"kind": "start", "peer": peer, "mode": "latency", "seconds": 2.0, "resident_bytes": 50_000_000})
        wrong = [[row[1], row[0]] for row in LOGITS]
        samples.append({"kind": "logits", "peer": peer, "logits": wrong if peer == "optimum-int8" else LOGITS})
    times = {"torch-fp32": 0.1, "assay-int8": 0.05, "optimum-int8": 0.01, "openvino-int8": 0.06}
    for number in range(3):
        for peer, seconds in times.items():
            if peer == "openvino-int8" and number:
                continue
            drift = 1 + number  # a machine that slows down hits all alike
            for mode, cells in (("latency", ("16", "64")), ("throughput", ("texts",))):
                samples += [
                    {
                        "kind": "turn",
                        "mode": mode,
                        "round": number,
                        "cell": cell,
                        "peer": peer,
                        "seconds": [seconds * drift] * 2,
                        "spent": 1.0,
                    }
                    for cell in cells
                ]
    for mode in ("latency", "throughput"):
        reason = "its process was killed by SIGKILL"
        samples.append({"kind": "failure", "peer": "openvino-int8", "mode": mode, "reason": reason})
    return {
        "schema_version": 1,
        "plan": {
            "model": "tests/checkpoints/none",
            "random_weights": False,
            "activation": "softmax",
            "device": "cpu",
            "gpu": None,
            "threads": 2,
            "modes": ["latency", "throughput"],
            "baseline": "torch-fp32",
            "peers": peers,
            "absent": {"sentence-transformers": "sentence-transformers not installed: pip install 'assay[bench]'"},
            "versions": {"torch-fp32": {"torch": "2.13.0"}},
            "machine": {
                "processor": "a processor",
                "usable_cores": 2,
                "memory_gb": 24.0,
                "system": "Linux x86_64",
                "python": "3.11.7",
            },
        },
        "reference": {"logits": LOGITS, "operations": {"16": 16e9, "32": 32e9, "64": 64e9}},
        "rows": {"lengths": {"16": 16, "64": 64}, "throughput_tokens": [10, 20, 30], "throughput_source": "generated"},
        "samples": samples,
    }


def results_of_today() -> dict[str, Any]:
    """The same with what runs measure besides: 4e12 int8 operations and 1e10 bytes a second, noise, memory, energy."""
    found = results()
    found["reference"]["weights"] = {"matrices": 1_000_000_000, "per_token": 0}
    found["reference"]["local_attention"] = None
    every = {"int8_x": 4e12, "fp32_x": 1e12, "read_bytes": 1e10}
    found["samples"] += [
        {"kind": "instructions", "one": every, "every": every},
        {"kind": "products", "seconds": {"16": 0.2, "64": 0.25}},
        {"kind": "memory", "peer": "assay-int8", "mode": "latency", "resident_bytes": 1, "peak_bytes": 123_000_000},
    ]
    for record in found["samples"]:
        if record["kind"] == "turn":
            record["joules"] = 10 * record["seconds"][0]
    quiet = {"one_best": 1.0, "one_mean": 1.0, "all_best": 2.0, "all_mean": 2.0}
    for mode in ("latency", "throughput"):
        for number in range(3):
            steal = 0.2 if (mode, number) == ("latency", 0) else 0.0
            block = {"threads": 2, "steal": steal, "others": 0.0, "before": quiet, "after": quiet}
            found["samples"].append({"kind": "block", "mode": mode, "round": number, **block})
    return found
