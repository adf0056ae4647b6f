"""Generated (objective, response) pairs in the five classes of response sufficiency.

An objective asks for one to three aspects of one subject. The class is decided by how the response matches it:

    ADDR_DIRECT        states every aspect that was asked, about that subject
    ADDR_PARTIAL       states some of them, not all
    NOADDR_ON          is about that subject, and states only aspects that were not asked
    NOADDR_TANGENTIAL  is about another subject of the same topic
    NOADDR_OFF         is about a subject of another topic

All five draw their sentences from the same lists, so neither text alone reveals the class. Some responses end in
expressions of doubt; the more of them, the likelier it is that a complete answer was rated ADDR_PARTIAL. Those rows
have no certain class, so a trained model has some close calls, as on real rows. Standard library only.
"""

import random
import zlib
from enum import IntEnum
from typing import NamedTuple

from word_lists import ASPECTS, DOUBTS, NEUTRAL, OPENINGS, SCENES, TOPICS

LABELS: tuple[str, ...] = ("ADDR_DIRECT", "ADDR_PARTIAL", "NOADDR_ON", "NOADDR_TANGENTIAL", "NOADDR_OFF")
SHARE_WITH_DOUBTS = 0.3


class Role(IntEnum):
    """The role of a passage in its pair. It explains the class, and is known because the text is generated."""

    FILLER = 0
    QUESTION_ANSWERED = 1
    QUESTION_UNANSWERED = 2
    FACT_ASKED = 3
    FACT_NOT_ASKED = 4
    FACT_ABOUT_ANOTHER_SUBJECT = 5
    FACT_ABOUT_ANOTHER_TOPIC = 6


class Passage(NamedTuple):
    """A sentence or part of one, its role, and the aspect that it asks for or states (a key of ASPECTS, or none)."""

    text: str
    role: Role
    aspect: str | None = None


class AnnotatedPair(NamedTuple):
    """A row as passages, which joined by single spaces are the objective and the response."""

    objective: list[Passage]
    response: list[Passage]
    label: str


class Pair(NamedTuple):
    """A row as a model sees it: the question, the answer and the class name."""

    text: str
    text_pair: str
    label: str


def generate_pairs(rows: int, *, seed: int, held_out: bool) -> list[Pair]:
    """Draw `rows` pairs, the same ones for the same arguments.

    Held-out rows ask for combinations of subject and aspects that no training row asks for, whatever the seeds.
    """
    return [
        Pair(joined(pair.objective), joined(pair.response), pair.label)
        for pair in generate_annotated_pairs(rows, seed=seed, held_out=held_out)
    ]


def generate_annotated_pairs(
    rows: int, *, seed: int, held_out: bool, most_aspects: int = 3, filler: bool = True
) -> list[AnnotatedPair]:
    """Draw the same rows as generate_pairs, with the role of each passage.

    A lower `most_aspects` or no `filler` (which includes doubts) makes the shorter rows that training begins with. With
    one aspect and no filler there is no ADDR_PARTIAL.
    """
    rng = random.Random(seed)
    pairs: list[AnnotatedPair] = []
    while len(pairs) < rows:
        label = rng.choice([label for label in LABELS if most_aspects > 1 or label != "ADDR_PARTIAL"])
        topic = rng.choice(list(TOPICS))
        subject = rng.choice(TOPICS[topic][0])
        fewest = 2 if label == "ADDR_PARTIAL" else 1
        asked = rng.sample(list(ASPECTS), rng.randint(fewest, most_aspects))
        if _is_held_out(subject, asked) == held_out:
            pairs.append(_write_pair(rng, label, topic, subject, asked, most_aspects, filler))
    return pairs


def joined(passages: list[Passage]) -> str:
    """Return the text of `passages`."""
    return " ".join(passage.text for passage in passages)


def _is_held_out(subject: str, asked: list[str]) -> bool:
    """Choose one combination in eight by a checksum (Python's own hash of a str differs between processes)."""
    return zlib.crc32(f"{subject}:{','.join(sorted(asked))}".encode()) % 8 == 0


def _write_pair(
    rng: random.Random, label: str, topic: str, subject: str, asked: list[str], most_aspects: int, filler: bool
) -> AnnotatedPair:
    stated = _stated_aspects(rng, label, asked, most_aspects)
    response_topic, response_subject = topic, subject
    if label == "NOADDR_TANGENTIAL":
        response_subject = rng.choice([other for other in TOPICS[topic][0] if other != subject])
    elif label == "NOADDR_OFF":
        response_topic = rng.choice([other for other in TOPICS if other != topic])
        response_subject = rng.choice(TOPICS[response_topic][0])

    answered = stated if response_subject == subject else []
    questions = _ask(rng, subject, asked, answered)
    facts = []
    for aspect in stated:
        role = Role.FACT_ASKED if aspect in asked else Role.FACT_NOT_ASKED
        if response_topic != topic:
            role = Role.FACT_ABOUT_ANOTHER_TOPIC
        elif response_subject != subject:
            role = Role.FACT_ABOUT_ANOTHER_SUBJECT
        template, fact = rng.choice(ASPECTS[aspect].answers), rng.choice(ASPECTS[aspect].facts)
        facts.append(Passage(capitalised(template.format(s=response_subject, x=fact)), role, aspect))

    around_question, around_facts = _filler_counts(rng) if filler else (0, 0)
    objective = _with_filler(rng, [questions], topic, around_question)
    if filler and (opening := rng.choice(OPENINGS)):
        objective.insert(0, Passage(opening, Role.FILLER))
    response = _with_filler(rng, [[fact] for fact in facts], response_topic, around_facts)
    if filler and rng.random() < SHARE_WITH_DOUBTS:
        doubts = rng.sample(DOUBTS, rng.randint(1, len(DOUBTS) - 1))
        response.extend(Passage(doubt, Role.FILLER) for doubt in doubts)
        if label == "ADDR_DIRECT" and rng.random() < len(doubts) / len(DOUBTS):
            label = "ADDR_PARTIAL"
    return AnnotatedPair(objective, response, label)


def _stated_aspects(rng: random.Random, label: str, asked: list[str], most: int) -> list[str]:
    """Choose at most `most` aspects that the response states. Their number says little about the class."""
    not_asked = [aspect for aspect in ASPECTS if aspect not in asked]
    if label in ("ADDR_DIRECT", "ADDR_PARTIAL"):
        answered = asked if label == "ADDR_DIRECT" else rng.sample(asked, rng.randint(1, len(asked) - 1))
        stated = answered + rng.sample(not_asked, rng.randint(0, min(1, most - len(answered))))
    elif label == "NOADDR_ON":
        stated = rng.sample(not_asked, rng.randint(1, most))
    elif rng.random() < 0.5:  # the same aspects as in the question, about the wrong subject
        stated = list(asked)
    else:
        stated = rng.sample(list(ASPECTS), rng.randint(1, most))
    rng.shuffle(stated)
    return stated


def _ask(rng: random.Random, subject: str, asked: list[str], answered: list[str]) -> list[Passage]:
    """Write the objective: a run of questions, or one request that lists the aspects."""
    roles = [Role.QUESTION_ANSWERED if aspect in answered else Role.QUESTION_UNANSWERED for aspect in asked]
    if len(asked) == 1 or rng.random() < 0.5:
        texts = [rng.choice(ASPECTS[aspect].questions).format(s=subject) for aspect in asked]
        return [Passage(*asking) for asking in zip(texts, roles, asked, strict=True)]
    texts = [rng.choice(ASPECTS[aspect].phrases).format(s=subject) for aspect in asked]
    request = rng.choice(("Tell me", "Describe", "I would like to know", "Explain"))
    texts = [f"{text}," for text in texts[:-2]] + [texts[-2], f"and {texts[-1]}."]
    return [Passage(request, Role.FILLER)] + [Passage(*asking) for asking in zip(texts, roles, asked, strict=True)]


def _filler_counts(rng: random.Random) -> tuple[int, int]:
    """Draw how many sentences without an answer surround the question and the facts: mostly few, at times many."""
    kind = rng.random()
    if kind < 0.75:
        return rng.randint(0, 1), rng.randint(0, 1)
    if kind < 0.95:
        return rng.randint(0, 3), rng.randint(1, 6)
    return rng.randint(0, 10), rng.randint(8, 26)


def _with_filler(rng: random.Random, blocks: list[list[Passage]], topic: str, fillers: int) -> list[Passage]:
    """Scatter `fillers` sentences among `blocks`, and keep the order of these."""
    scattered = list(blocks)
    for _ in range(fillers):
        sentence = Passage(filler_sentence(rng, topic), Role.FILLER)
        scattered.insert(rng.randint(0, len(scattered)), [sentence])
    return [passage for block in scattered for passage in block]


def filler_sentence(rng: random.Random, topic: str) -> str:
    """Return a sentence that sets the scene of `topic`, or one that belongs to no topic."""
    if rng.random() < 0.5:
        return rng.choice(NEUTRAL)
    first, second = rng.sample(TOPICS[topic][1], 2)
    return rng.choice(SCENES).format(a=first, b=second)


def capitalised(sentence: str) -> str:
    """Return `sentence` with its first letter in upper case and the rest unchanged."""
    return sentence[:1].upper() + sentence[1:]
