"""The core of Model: from rows to logits in the order of the rows. Classifier and Scorer know what logits mean."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from assay.bundle import golden
from assay.bundle.folder import Bundle, Choice
from assay.bundle.manifest import Manifest
from assay.errors import AssayError, InputError
from assay.inputs.pipeline import PipelineAnswer, check_function, check_top_k, nest, read_inputs
from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import check_batch, check_count, check_flag, check_single, describe
from assay.models.activations import FUNCTIONS
from assay.models.runner import Float32, Runner, refuse_non_finite
from assay.models.streams.progress import show_progress
from assay.ort.batching import Limits
from assay.ort.engine import Engine

__all__ = ["Core"]


class Core:
    """A loaded bundle without the methods of Model that build on these."""

    def __init__(
        self,
        bundle: Bundle,
        choice: Choice,
        engine: Engine,
        tokenizer: BundleTokenizer,
        info: Mapping[str, Any],
        make_engine: Callable[[], Engine],
        reload: Callable[[], "Core"] | None = None,
    ) -> None:
        """Put a model together, as assay.load does.

        Args:
            bundle: The open bundle.
            choice: The graph of it that runs.
            engine: The session of that graph.
            tokenizer: The bundle's tokenizer.
            info: What `info` returns.
            make_engine: Makes another `engine`, for the child of a fork.
            reload: Makes another model, for a pickle.
        """
        self._bundle = bundle
        self._choice = choice
        self._runner = Runner(tokenizer, engine, make_engine, len(bundle.manifest.labels))
        self._info = dict(info)
        self._reload = reload

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in logit order."""
        return self._bundle.manifest.labels

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest, assay.json."""
        return self._bundle.manifest

    @property
    def info(self) -> dict[str, Any]:
        """What runs: path, device, variant, dialect, graph (file), providers, threads, and why this device and variant.

        On a GPU also "nodes", how many operators each provider runs; those on the CPU compute shapes.
        """
        return dict(self._info)

    def logits(
        self, batch: object, *, truncate: bool = False, progress: bool = False, batch_tokens: int | None = None
    ) -> Float32:
        """Return the head's raw outputs, float32 [n, labels], of n rows in their order.

        Rows of equal length share a call, which changes at most the last bits of their logits.

        Args:
            batch: An iterable of rows: texts, or for a bundle of pairs tuples of two texts. It may be empty.
            truncate: Cut a text that the bundle would refuse as too long.
            progress: Show a progress bar, which needs the package tqdm.
            batch_tokens: The most tokens of the rows of one call of the session, for less memory. A longer row is a
                call by itself. It lowers the limit that the device has, and never raises it.

        Raises:
            InputError: A row is not a text or a pair, or is too long; with the row's index.
            InstallationError: `progress` is True and tqdm is missing.
            NumericalError: A logit is NaN or infinite; with the row's index.
        """
        limits = Limits(tokens=check_count(batch_tokens, "batch_tokens"))
        rows = check_batch(batch, self.manifest.input)
        with show_progress(progress, len(rows)) as report:
            return self._runner.run(rows, check_flag(truncate, "truncate"), False, limits, report)

    def __call__(
        self,
        inputs: object,
        *,
        top_k: object = "",
        function_to_apply: str | None = None,
        batch_size: int | None = None,
        truncate: bool = False,
        progress: bool = False,
    ) -> PipelineAnswer:
        """Return labels with scores, like transformers' text-classification pipeline (4.57).

        assay.inputs.pipeline has a table of what is returned.

        Args:
            inputs: A text, a dict of "text" and, for pairs, "text_pair", or a list of these.
            top_k: How many labels to return, best first; None for all. By default only the best.
            function_to_apply: "sigmoid" or "softmax" over the labels, or "none" for logits. By default, or with
                "default", what the bundle says.
            batch_size: The most rows of one call of the session. Default: what fits the device's limit of tokens.
            truncate: Cut a text that the bundle would refuse as too long.
            progress: As `logits`.

        Raises:
            InputError: As `logits`.
            InstallationError: As `logits`.
            NumericalError: As `logits`.
        """
        check_top_k(top_k)
        function = check_function(function_to_apply)
        limits = Limits(rows=check_count(batch_size, "batch_size"))
        rows = read_inputs(inputs, self.manifest.input)
        single = isinstance(inputs, str | dict)
        with show_progress(progress, len(rows)) as report:
            logits = self._runner.run(rows, check_flag(truncate, "truncate"), single, limits, report)
        scores = self._activate(logits) if function is None else FUNCTIONS[function](logits)
        return nest(inputs, self.labels, scores.tolist(), top_k)

    def verify(self) -> dict[str, Any]:
        """Run the bundle's golden rows and compare the logits with those of PyTorch. It also warms the model up.

        Returns:
            max_abs_delta, the tolerance of the variant, and the number of rows.

        Raises:
            BundleError: The bundle has no golden rows.
            NumericalError: A logit is further from PyTorch's than the tolerance: a kernel is wrong on this machine.
        """
        rows = golden.read(self._bundle)
        allowed = golden.compute_tolerance(self._choice.graph, rows)
        what = f"{self._bundle.folder / self._choice.graph.file} on {self._info['device']}"
        return golden.compare(self._runner.answer(rows.tokens), rows, allowed, what)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """Copy the bundle, with all its variants, to `folder`, which transformers, optimum and assay.load open.

        Every hash is checked first. Of a bundle on the Hub, the files that are not in the cache are downloaded.

        Returns:
            The folder, as an absolute path.

        Raises:
            BundleError: A file of the bundle is damaged, or cannot be downloaded.
            InputError: `folder` exists, or cannot be written.
        """
        from assay.bundle.copying import copy_bundle

        return copy_bundle(self._bundle, folder)

    def close(self) -> None:
        """Release the session and its memory.

        Calls that are running in other threads finish; later calls raise AssayError.
        """
        self._runner.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        self._runner.engine.get()  # a copy must not reopen a closed model
        if self._reload is None:
            raise AssayError("this model was not made by assay.load and cannot be pickled; load it with assay.load")
        return self._reload, ()

    def __repr__(self) -> str:
        state = f"on {self._info['device']}" if self._runner.engine.is_open else "closed"
        return f"<assay.{type(self).__name__} {self._bundle.folder} {self._choice.variant} {state}>"

    def _activate(self, logits: Float32) -> Float32:
        """Return the scores [n, labels] of `logits` [n, labels]. Defined by Classifier and Scorer."""
        raise NotImplementedError

    def _run_single(self, text: object, text_pair: object, truncate: object) -> Float32:
        """Return the logits [1, labels] of one row."""
        row = check_single(text, text_pair, self.manifest.input)
        return self._runner.run([row], check_flag(truncate, "truncate"), single=True)

    def _check_logits(self, logits: object) -> Float32:
        """Return a caller's `logits` as float32 [n, labels].

        Raises:
            InputError: They have another shape or are not numbers.
            NumericalError: One is NaN or infinite; with the row's index.
        """
        if not isinstance(logits, np.ndarray) or logits.dtype.kind not in "fiu":
            raise InputError(f"logits is {describe(logits)}, expected a numpy array of numbers, [n, labels]")
        if logits.ndim != 2 or logits.shape[1] != len(self.labels):
            raise InputError(
                f"logits has the shape {list(logits.shape)}, expected [n, {len(self.labels)}]: a row per text and a "
                "column per label"
            )
        checked = np.asarray(logits, dtype=np.float32)
        refuse_non_finite(checked, single=False)
        return checked
