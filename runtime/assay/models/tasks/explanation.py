"""Which words a score rests on: the text is answered without each of its words (occlusion).

A word is a run of characters between white space. It is left out with its place closed up, so the rest of the text
stays as it was. Words that only matter together each look unimportant, and a model may react to the gap itself: an
explanation is a hint, not a proof.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from assay.errors import InputError
from assay.inputs.validation import Row
from assay.models.runner import Float32

__all__ = ["Explanation", "Span", "Word", "find_words", "leave_out", "weigh"]

_MAX_WORDS = 1_000  # each is a row
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a text: `which` text (0, or 1 for the second of a pair), and its characters from start to end."""

    which: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text.

    Attributes:
        word: Its characters.
        span: Its place.
        without: The score of the text without it.
        effect: The score of the whole text minus `without`: above 0 for a word that raises the score.
    """

    word: str
    span: Span
    without: float
    effect: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer of `explain`.

    Attributes:
        texts: The text, or both texts of the pair.
        label: The label whose score it is.
        score: Its score for the whole text.
        words: The words in their order.
    """

    texts: tuple[str, ...]
    label: str
    score: float
    words: tuple[Word, ...]

    def to_html(self) -> str:
        """Return HTML with the words that raise the score on green, and those that lower it on red.

        The texts are escaped. It is a <div> without scripts, for a page or a notebook. A word's title is its effect.
        """
        import html  # its table of entities would add 1.5 ms to every start

        strongest = max((abs(word.effect) for word in self.words), default=0.0) or 1.0
        parts = [f"<b>{html.escape(self.label)}: {self.score:.4f}</b>"]
        for which, text in enumerate(self.texts):
            end, pieces = 0, []
            for word in self.words:
                if word.span.which != which:
                    continue
                color = "0,140,60" if word.effect > 0 else "200,30,30"
                ground = f"rgba({color},{0.7 * abs(word.effect) / strongest:.2f})"
                pieces += [
                    html.escape(text[end : word.span.start]),
                    f'<span style="background:{ground}" title="{word.effect:+.4f}">{html.escape(word.word)}</span>',
                ]
                end = word.span.end
            parts.append(f'<p style="white-space:pre-wrap">{"".join(pieces)}{html.escape(text[end:])}</p>')
        return f"<div>{''.join(parts)}</div>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return self.to_html()


def find_words(texts: Sequence[str]) -> list[Span]:
    """Return the places of all words. Raises InputError where there are too many."""
    spans: list[Span] = []
    for which, text in enumerate(texts):
        for match in _WORD.finditer(text):
            if len(spans) == _MAX_WORDS:
                raise InputError(
                    f"the text has more than {_MAX_WORDS:,} words, expected at most so many, because each is a row to "
                    "answer; shorten it"
                )
            spans.append(Span(which, match.start(), match.end()))
    return spans


def leave_out(texts: Sequence[str], span: Span) -> Row:
    """Return the row without the word at `span`, and without the white space after it (before it at the end)."""
    text = texts[span.which]
    before, after = text[: span.start], text[span.end :]
    rest = before + after.lstrip() if after.strip() else before.rstrip() + after
    changed = [rest if which == span.which else other for which, other in enumerate(texts)]
    return changed[0] if len(changed) == 1 else (changed[0], changed[1])


def weigh(
    texts: Sequence[str], spans: Sequence[Span], scores: Float32, labels: Sequence[str], column: int | None
) -> Explanation:
    """Return the explanation of `scores` [1 + words, labels]: of the whole text, then without each word.

    `column` is the label that is explained, None for the best one of the whole text.
    """
    chosen = int(scores[0].argmax()) if column is None else column
    whole, *without = scores[:, chosen].tolist()
    words = tuple(
        Word(texts[span.which][span.start : span.end], span, score, whole - score)
        for span, score in zip(spans, without, strict=True)
    )
    return Explanation(tuple(texts), labels[chosen], whole, words)
