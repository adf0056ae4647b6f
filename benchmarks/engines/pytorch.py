"""transformers' eager float32 model in PyTorch."""

from pathlib import Path

from assay.optional_packages import require
from benchmarks.errors import BenchmarkError
from benchmarks.timing import Call, Ids

__all__ = ["open_checkpoint"]


def open_checkpoint(checkpoint: Path, threads: int) -> Call:
    """Load a whole checkpoint.

    Raises:
        BenchmarkError: transformers cannot load it.
        InstallationError: PyTorch or transformers is missing.
    """
    torch, transformers = (require(name, "'assay[export]'", "torch fp32") for name in ("torch", "transformers"))
    torch.set_num_threads(threads)
    try:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            str(checkpoint), dtype=torch.float32, attn_implementation="eager", local_files_only=True
        ).eval()
    except (OSError, ValueError) as error:
        raise BenchmarkError(
            f"{checkpoint}: transformers cannot load it ({error}); --torch needs a checkpoint with all weights"
        ) from error

    def call(ids: Ids) -> object:
        with torch.inference_mode():
            return model(input_ids=torch.from_numpy(ids)).logits.numpy()

    return call
