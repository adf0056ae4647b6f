"""Find out whether CUDA loads, before a bundle's files are downloaded and hashed for it."""

from assay.devices import Device
from assay.gpu import libraries, providers
from assay.gpu.options import GpuOptions
from assay.ort import installation, provider_errors
from assay.ort.session import check_loaded, silence

__all__ = ["check_cuda"]

# An ONNX model with one operator: y = Identity(x), float32 [1]. tests/runtime/gpu/test_probe.py parses it.
_GRAPH = (
    b'\x08\x08:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01g'
    b"Z\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01"
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)


def check_cuda(device: Device) -> None:
    """Create a session with one operator on `device`. Raises ProviderError where CUDA does not load."""
    ort = installation.onnxruntime()
    preload = libraries.prepare(ort, device)
    chosen = providers.configure_cuda(device, GpuOptions())
    try:
        with silence(ort):
            session = ort.InferenceSession(_GRAPH, providers=list(chosen), enable_fallback=0)
    except Exception as error:
        raise provider_errors.explain_failed_probe(ort, error, device) from error
    check_loaded(ort, session, device, preload)
