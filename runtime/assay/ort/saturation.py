"""Whether ONNX Runtime's uint8 x int8 products are exact on this CPU.

On x86 without VNNI they add pairs of products in 16 bits, which saturate (microsoft/onnxruntime#6004, #14642): a graph
that was gated on another machine answers differently there. A product of the largest values shows it.
"""

import base64
import functools

import numpy as np

from assay.ort import installation

__all__ = ["PROBE", "find_problem"]

# MatMulInteger of uint8 [1, 64] and 127s [64, 16]; tests/runtime/ort/test_saturation.py writes the same with onnx.
PROBE = base64.b64decode(
    "CAgSBWFzc2F5OpUBCjIKBXNoYXBlEgFiIg9Db25zdGFudE9mU2hhcGUqFQoFdmFsdWUqCQgBEAMqAX9CAKABBAoYCgFhCgFiEgF5Ig1NYXRNdWxJbnRl"
    "Z2VyEgpzYXR1cmF0aW9uKg8IAhAHOgJAEEIFc2hhcGVaEwoBYRIOCgwIAhIICgIIAQoCCEBiEwoBeRIOCgwIBhIICgIIAQoCCBBCBAoAEBE="
)
_DEPTH = 64


@functools.cache
def find_problem() -> str | None:
    """Return why ONNX Runtime's int8 products cannot be used here, or None where they are exact."""
    ort = installation.onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(PROBE, options, providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, {"a": np.full((1, _DEPTH), 255, dtype=np.uint8)})
    if (sums == 255 * 127 * _DEPTH).all():
        return None
    return (
        "this CPU has no VNNI, and ONNX Runtime's int8 products saturate on it, so the answers would not be those that "
        "passed the gate; use variant='int8' with assay-kernels (pip install assay-kernels), or variant='fp32'"
    )
