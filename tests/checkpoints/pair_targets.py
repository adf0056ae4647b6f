"""Token-level targets for training the pair classifier: for each token, why the pair has its class.

A model this small does not learn to match two texts from the class alone in a few minutes. The generator knows which
passage answers which question, so during training each token also predicts the aspect and the role of its passage, the
words that name a topic predict that topic, and the subject's words predict whether both texts have the same subject.
The heads that make these predictions are discarded; the saved checkpoint is an ordinary sequence classifier.
"""

import re
from typing import NamedTuple

import torch
from pair_text import AnnotatedPair, Passage, Role, joined
from tokenizers import Encoding, Tokenizer
from word_lists import ASPECTS, TOPICS

IGNORED = -100  # the target that cross_entropy leaves out
TOPIC_OF_WORD = {word: index for index, lists in enumerate(TOPICS.values()) for word in (*lists[0], *lists[1])}
SUBJECTS = {word: index for index, word in enumerate(word for lists in TOPICS.values() for word in lists[0])}
# 0: the same subject, 1: another subject of the same topic, 2: another topic.
RELATION_OF_LABEL = {"NOADDR_TANGENTIAL": 1, "NOADDR_OFF": 2}
CLASSES = {
    "topic": len(TOPICS),
    "subject": len(SUBJECTS),
    "aspect": len(ASPECTS),
    "relation": len({0, *RELATION_OF_LABEL.values()}),
    "role": len(Role),
}


class Row(NamedTuple):
    """One tokenized pair: ids [sequence], and for each name in CLASSES a target for every token [sequence]."""

    ids: list[int]
    targets: dict[str, list[int]]


def rows_with_targets(tokenizer: Tokenizer, pairs: list[AnnotatedPair]) -> list[Row]:
    """Tokenize `pairs`, special tokens included. A token without a target has IGNORED."""
    encodings = tokenizer.encode_batch([(joined(pair.objective), joined(pair.response)) for pair in pairs])
    return [_row(encoding, pair) for encoding, pair in zip(encodings, pairs, strict=True)]


def padded_targets(rows: list[Row], name: str) -> torch.Tensor:
    """Return the targets called `name`, int64 [batch, longest row], with IGNORED on padding."""
    longest = max(len(row.ids) for row in rows)
    return torch.tensor([row.targets[name] + [IGNORED] * (longest - len(row.ids)) for row in rows])


def _row(encoding: Encoding, pair: AnnotatedPair) -> Row:
    sides = [_targets_by_character(passages, pair.label) for passages in (pair.objective, pair.response)]
    nothing = dict.fromkeys(CLASSES, IGNORED)
    # A piece's last character is always inside the piece's word; its first may be the space before.
    tokens = [
        nothing if side is None else sides[side][end - 1]
        for side, (_, end) in zip(encoding.sequence_ids, encoding.offsets, strict=True)
    ]
    return Row(encoding.ids, {name: [token[name] for token in tokens] for name in CLASSES})


def _targets_by_character(passages: list[Passage], label: str) -> list[dict[str, int]]:
    characters: list[dict[str, int]] = []
    for passage in passages:
        for run in re.findall(r"[A-Za-z]+|[^A-Za-z]+", f"{passage.text} "):
            word = run.lower()
            targets = {
                "role": int(passage.role),
                "aspect": list(ASPECTS).index(passage.aspect) if passage.aspect else IGNORED,
                "topic": TOPIC_OF_WORD.get(word, IGNORED),
                "subject": SUBJECTS.get(word, IGNORED),
                "relation": RELATION_OF_LABEL.get(label, 0) if word in SUBJECTS else IGNORED,
            }
            characters.extend([targets] * len(run))
    return characters
