"""What Classifier and Scorer share: from rows to logits in the order of the rows. They know what logits mean."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from assay.bundle import golden
from assay.bundle.folder import Bundle, Choice
from assay.bundle.manifest import Manifest
from assay.errors import AssayError, InputError
from assay.inputs.pipeline import PipelineAnswer, check_function, check_top_k, nest, read_inputs
from assay.inputs.tokenization import BundleTokenizer, Tokens
from assay.inputs.validation import Row, check_batch, check_count, check_flag, check_iterable, check_single, describe
from assay.models import ranking
from assay.models.activations import FUNCTIONS
from assay.models.endless import answer_stream
from assay.models.explanation import Explanation, find_words, leave_out, weigh
from assay.models.long_texts import Long, LongScores, check_aggregate, count_windows, score_long
from assay.models.progress import show_progress
from assay.models.ranking import Ranked, find_label
from assay.models.runner import Float32, Runner, refuse_non_finite
from assay.ort.batching import Limits
from assay.ort.engine import Engine

__all__ = ["STREAMED_TOGETHER", "Float32", "Model", "runner_of"]

STREAMED_TOGETHER = 256
"""Rows that `stream` reads before it answers them: enough to fill calls, and some kilobytes of text."""


class Model:
    """A loaded bundle. assay.load returns one as a Classifier or a Scorer.

    It may be used from several threads at once, and in the children of a fork, which make its session anew. A pickle of
    it has the arguments of assay.load and no weights.
    """

    def __init__(
        self,
        bundle: Bundle,
        choice: Choice,
        engine: Engine,
        tokenizer: BundleTokenizer,
        info: Mapping[str, Any],
        make_engine: Callable[[], Engine],
        reload: Callable[[], "Model"] | None = None,
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

        Raises:
            InputError: As `logits`.
            NumericalError: As `logits`.
        """
        check_top_k(top_k)
        function = check_function(function_to_apply)
        limits = Limits(rows=check_count(batch_size, "batch_size"))
        rows = read_inputs(inputs, self.manifest.input)
        single = isinstance(inputs, str | dict)
        logits = self._runner.run(rows, check_flag(truncate, "truncate"), single, limits)
        scores = self._activate(logits) if function is None else FUNCTIONS[function](logits)
        return nest(inputs, self.labels, scores.tolist(), top_k)

    def rank(
        self,
        query: str,
        documents: object,
        top_k: int | None = None,
        return_documents: bool = False,
        *,
        label: str | None = None,
        truncate: bool = False,
    ) -> list[Ranked]:
        """Return the documents by their score for `query`, best first, as sentence-transformers' CrossEncoder.rank.

        All pairs are answered as one batch. Documents with equal scores keep their order.

        Args:
            query: The first text of every pair.
            documents: An iterable of texts. It may be empty.
            top_k: The most documents to return; None for all.
            return_documents: Return the text of each document, too.
            label: For a classifier, the label whose probability is the score. A reranker with one output needs none.
            truncate: Cut a text that the bundle would refuse as too long.

        Returns:
            A dict per document: corpus_id (its index in `documents`), score, and with `return_documents` text.

        Raises:
            InputError: The bundle does not read pairs or lacks the label, or an argument is wrong; where a document is,
                with its index.
            NumericalError: A logit is NaN or infinite; with the document's index.
        """
        ranking.require_pairs(self.manifest, "rank")
        limit = check_count(top_k, "top_k")
        check_flag(return_documents, "return_documents")
        pairs = ranking.pair_documents(query, documents)
        scores = self.rerank_pairs(pairs, label=label, truncate=truncate)
        return ranking.order(scores.tolist(), pairs, limit, return_documents)

    def rerank_pairs(self, pairs: object, *, label: str | None = None, truncate: bool = False) -> Float32:
        """Return the scores, float32 [n], of n pairs (query, document) in their order, as CrossEncoder.predict.

        The pairs may have different queries. Arguments and errors are those of `rank`.
        """
        ranking.require_pairs(self.manifest, "rerank_pairs")
        column = find_label(label, self.manifest, "rank and rerank_pairs")
        return self._activate(self.logits(pairs, truncate=truncate))[:, column]

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

    def warmup(self, tokens: int | None = None) -> None:
        """Answer a short row and a long one, so that the first real row does not pay for it.

        The runs read the weights from the disk, start the threads, and let ONNX Runtime's arena grow to what the long
        row needs. TensorRT's engines are built by `assay warmup`.

        Args:
            tokens: The length of the long row. Default: the longest that the model reads, which takes seconds on a CPU
                for a model of thousands of tokens.

        Raises:
            InputError: `tokens` is not an integer from 1 to the model's limit.
        """
        longest = self.manifest.max_length
        length = check_count(tokens, "tokens") or longest
        if length > longest:
            raise InputError(f"tokens is {length:,}, expected at most {longest:,}: the model reads no more")
        word = np.full(length, self.manifest.pad_token_id, dtype=np.int64)
        for size in (1, length):
            self._runner.answer([Tokens(word[:size], np.zeros(size, dtype=np.int64))])

    def explain(
        self, text: str, text_pair: str | None = None, *, label: str | None = None, truncate: bool = False
    ) -> Explanation:
        """Say how the score moves without each word: a row per word is answered that lacks it (occlusion).

        It costs as many rows as there are words, and one more for the whole text; all of them are one batch. In a pair
        the words of both texts are left out in turn.

        Args:
            text: The text, or the first of the pair.
            text_pair: The second text of the pair.
            label: The label whose score is explained. Default: the best one for the whole text.
            truncate: Cut a text that the bundle would refuse as too long.

        Raises:
            InputError: An argument is not a text, the bundle lacks the label, or the text has more than 1,000 words.
            NumericalError: A logit is NaN or infinite; row 0 is the whole text, and row n lacks word n.
        """
        row = check_single(text, text_pair, self.manifest.input)
        column = None if label is None else find_label(label, self.manifest, "explain")
        texts = row if isinstance(row, tuple) else (row,)
        words = find_words(texts)
        rows = [row, *(leave_out(texts, word) for word in words)]
        logits = self._runner.run(rows, check_flag(truncate, "truncate"), single=False)
        return weigh(texts, words, self._activate(logits), self.labels, column)

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

    def count_windows(self, batch: object) -> npt.NDArray[np.int64]:
        """Return how many windows each row of `batch` has with long="windows", int64 [n]. Nothing runs.

        Raises:
            InputError: A row is not a text or a pair, or the first text of a long pair is too long.
        """
        return count_windows(self._runner, check_batch(batch, self.manifest.input), 0)

    def _score_long(self, rows: Sequence[Row], long: Long, aggregate: object, single: bool) -> LongScores:
        """Return the scores [n, labels] of checked rows of any length, and how many windows they had."""
        return score_long(self._runner, rows, long, check_aggregate(aggregate), self._activate, single=single)

    def _stream_logits(self, rows: object, batch_size: object, truncate: object) -> Iterator[Float32]:
        """Return an iterator over the logits [n, labels] of `rows`, some at a time. The arguments are checked now."""
        if batch_size is None:
            raise InputError("batch_size is None, expected an integer of at least 1")
        size = check_count(batch_size, "batch_size") or 1
        flag = check_flag(truncate, "truncate")
        kind = self.manifest.input
        return answer_stream(self._runner, check_iterable(rows, kind), kind, batch_size=size, truncate=flag)

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


def runner_of(model: Model) -> Runner:
    """Return what runs the rows of `model`, for the parts of assay that need more than its answers."""
    return model._runner
