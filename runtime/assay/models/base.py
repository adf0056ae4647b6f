"""What Classifier and Scorer share: uses of a bundle that need only its scores. core.py has the rest."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from assay.errors import InputError
from assay.inputs.tokenization import Tokens
from assay.inputs.validation import Row, check_batch, check_count, check_flag, check_iterable, check_single
from assay.models.core import Core
from assay.models.runner import Float32, Runner
from assay.models.streams.endless import answer_stream
from assay.models.streams.progress import show_progress
from assay.models.tasks import ranking
from assay.models.tasks.explanation import Explanation, find_words, leave_out, weigh
from assay.models.tasks.long_texts import (
    Long,
    LongScores,
    check_aggregate,
    check_long,
    count_windows,
    score_long,
)
from assay.models.tasks.ranking import Ranked, find_label
from assay.ort.batching import Limits

__all__ = ["STREAMED_TOGETHER", "Float32", "Model", "runner_of"]

STREAMED_TOGETHER = 256
"""Rows that `stream` reads before it answers them: enough to fill calls, and some kilobytes of text."""


class Model(Core):
    """A loaded bundle. assay.load returns one as a Classifier or a Scorer.

    It may be used from several threads at once, and in the children of a fork, which make its session anew. A pickle of
    it has the arguments of assay.load and no weights.
    """

    def rank(
        self,
        query: str,
        documents: object,
        top_k: int | None = None,
        return_documents: bool = False,
        *,
        label: str | None = None,
        truncate: bool = False,
        progress: bool = False,
        batch_tokens: int | None = None,
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
            progress: As `logits`.
            batch_tokens: As `logits`.

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
        scores = self.rerank_pairs(pairs, label=label, truncate=truncate, progress=progress, batch_tokens=batch_tokens)
        return ranking.order(scores.tolist(), pairs, limit, return_documents)

    def rerank_pairs(
        self,
        pairs: object,
        *,
        label: str | None = None,
        truncate: bool = False,
        progress: bool = False,
        batch_tokens: int | None = None,
    ) -> Float32:
        """Return the scores, float32 [n], of n pairs (query, document) in their order, as CrossEncoder.predict.

        The pairs may have different queries. Arguments and errors are those of `rank`.
        """
        ranking.require_pairs(self.manifest, "rerank_pairs")
        column = find_label(label, self.manifest, "rank and rerank_pairs")
        logits = self.logits(pairs, truncate=truncate, progress=progress, batch_tokens=batch_tokens)
        return self._activate(logits)[:, column]

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

    def count_windows(self, batch: object) -> npt.NDArray[np.int64]:
        """Return how many windows each row of `batch` has with long="windows", int64 [n]. Nothing runs.

        Raises:
            InputError: A row is not a text or a pair, or the first text of a long pair is too long.
        """
        return count_windows(self._runner, check_batch(batch, self.manifest.input), 0)

    def _score_single(
        self, text: object, text_pair: object, truncate: bool, long: object, aggregate: object
    ) -> LongScores:
        """Return the scores [1, labels] of one row, and how many windows it had. Checks the arguments."""
        handling = check_long(long, check_flag(truncate, "truncate"))
        if handling is None:
            return self._score_logits(self._run_single(text, text_pair, truncate))
        row = check_single(text, text_pair, self.manifest.input)
        return self._score_long(row, handling, aggregate)

    def _score_batch(
        self, batch: object, truncate: bool, progress: bool, batch_tokens: int | None, long: object, aggregate: object
    ) -> LongScores:
        """Return the scores [n, labels] of n rows, and how many windows each had. Checks the arguments."""
        handling = check_long(long, check_flag(truncate, "truncate"))
        if handling is None:
            logits = self.logits(batch, truncate=truncate, progress=progress, batch_tokens=batch_tokens)
            return self._score_logits(logits)
        return self._score_long_batch(batch, handling, aggregate, progress, batch_tokens)

    def _score_logits(self, logits: Float32) -> LongScores:
        """Return the scores [n, labels] of rows that were read whole."""
        return LongScores(self._activate(logits), np.ones(len(logits), np.int64))

    def _score_long(self, row: Row, long: Long, aggregate: object) -> LongScores:
        """Return the scores [1, labels] of a checked row of any length, and how many windows it had."""
        return score_long(self._runner, [row], long, check_aggregate(aggregate), self._activate, single=True)

    def _score_long_batch(
        self, batch: object, long: Long, aggregate: object, progress: bool, batch_tokens: int | None
    ) -> LongScores:
        """Return the scores [n, labels] of rows of any length, and how many windows each had."""
        how = check_aggregate(aggregate)
        limits = Limits(tokens=check_count(batch_tokens, "batch_tokens"))
        rows = check_batch(batch, self.manifest.input)
        with show_progress(progress, len(rows)) as report:
            return score_long(self._runner, rows, long, how, self._activate, single=False, limits=limits, report=report)

    def _stream_logits(self, rows: object, batch_size: object, truncate: object) -> Iterator[Float32]:
        """Return an iterator over the logits [n, labels] of `rows`, some at a time. The arguments are checked now."""
        if batch_size is None:
            raise InputError("batch_size is None, expected an integer of at least 1")
        size = check_count(batch_size, "batch_size") or 1
        flag = check_flag(truncate, "truncate")
        kind = self.manifest.input
        return answer_stream(self._runner, check_iterable(rows, kind), kind, batch_size=size, truncate=flag)


def runner_of(model: Model) -> Runner:
    """Return what runs the rows of `model`, for the parts of assay that need more than its answers."""
    return model._runner
