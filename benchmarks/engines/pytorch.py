"""transformers' float32 model in PyTorch: eager on token ids, and in its text-classification pipeline."""

from collections.abc import Callable, Sequence
from pathlib import Path

from assay.inputs.validation import Row
from assay.optional_packages import require
from benchmarks.errors import BenchmarkError
from benchmarks.timing import Call, Ids

__all__ = ["open_checkpoint", "open_pipeline"]


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


def open_pipeline(
    checkpoint: Path, tokenizer: Path, max_length: int, threads: int
) -> Callable[[Sequence[Row], int], object]:
    """Load the pipeline as its users do, with the tokenizer in the folder `tokenizer`.

    Returns:
        A function that takes rows and a batch size.

    Raises:
        BenchmarkError: transformers cannot load the checkpoint.
        InstallationError: PyTorch or transformers is missing.
    """
    torch, transformers = (require(name, "'assay[export]'", "the pipeline") for name in ("torch", "transformers"))
    torch.set_num_threads(threads)
    try:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            str(checkpoint), dtype=torch.float32, local_files_only=True
        ).eval()
    except (OSError, ValueError) as error:
        raise BenchmarkError(
            f"{checkpoint}: transformers cannot load it ({error}); the pipeline needs a checkpoint with all weights"
        ) from error
    words = transformers.AutoTokenizer.from_pretrained(str(tokenizer))
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=words, device="cpu")

    def call(rows: Sequence[Row], batch: int) -> object:
        inputs = [row if isinstance(row, str) else {"text": row[0], "text_pair": row[1]} for row in rows]
        return pipeline(inputs, batch_size=batch, padding=True, truncation=True, max_length=max_length)

    return call
