"""Generated instructions with a complexity between 0 and 1.

An instruction is a task, some requirements (constraints and steps) and some background. Complexity grows with the
number of requirements and with the depth of the task's domain. Background adds length but no complexity, so a
long instruction is not necessarily complex. Standard library only.
"""

import random
import zlib
from typing import NamedTuple

from pair_text import capitalised, filler_sentence
from word_lists import TOPICS

# By depth of the domain: everyday, professional, expert. {s} is a subject.
TASKS: tuple[tuple[str, ...], ...] = (
    (
        "Write a short note about {s}.",
        "List some words that rhyme with {s}.",
        "Tell me what {s} is.",
        "Say something nice about {s}.",
        "Make up a title for a picture of {s}.",
    ),
    (
        "Compare two common methods of {s} and recommend one of them.",
        "Draft a project plan for a company that offers {s}.",
        "Summarise the regulations that govern {s} in Europe.",
        "Design a survey that measures how satisfied customers are with {s}.",
        "Review the statistics on {s} and report the main trends.",
    ),
    (
        "Derive a differential equation that models {s} and prove that its solution is unique.",
        "Formulate {s} as a stochastic optimisation problem and analyse its convergence.",
        "Implement a distributed algorithm that simulates {s} and bound its asymptotic complexity.",
        "Construct a Bayesian hierarchical model of {s} and derive its posterior distribution.",
        "Critique the epistemological assumptions in quantitative theories of {s}.",
    ),
)

# {n} a small number, {w} a scene word. Each is one requirement.
CONSTRAINTS: tuple[str, ...] = (
    "use at most {n} paragraphs",
    "cite {n} independent sources",
    "avoid the word {w}",
    "keep every sentence below {n}0 words",
    "write for readers who have never seen a {w}",
    "present the outcome as a table with {n} columns",
    "include an example that involves a {w}",
    "justify each claim with evidence",
    "end with {n} open questions",
    "respect the budget of {n}00 dollars",
    "mention the {w} exactly {n} times",
    "explain every technical term in a footnote",
    "do not repeat any adjective",
    "state the remaining uncertainty as a percentage",
    "translate the conclusion into French",
    "rank the alternatives by cost",
)

STEPS: tuple[str, ...] = (
    "collect {n} typical cases",
    "classify each case by its {w}",
    "estimate the error of every figure",
    "discard whatever contradicts the {w}",
    "compute the average over {n} years",
    "draw a diagram of the {w}",
    "check the outcome against an earlier study",
    "rewrite the weakest part {n} times",
)

MOST_REQUIREMENTS = 8
COMPLEXITY_OF_NOTHING = 0.05
COMPLEXITY_PER_REQUIREMENT = 0.08
COMPLEXITY_PER_DEPTH = 0.13
NOISE = 0.02  # standard deviation: raters disagree


class Instruction(NamedTuple):
    """An instruction and its complexity, rounded to four digits."""

    text: str
    score: float


def generate_instructions(rows: int, *, seed: int, held_out: bool) -> list[Instruction]:
    """Draw `rows` instructions, the same ones for the same arguments.

    Held-out rows set tasks on subjects that no training row combines, whatever the seeds.
    """
    rng = random.Random(seed)
    instructions: list[Instruction] = []
    while len(instructions) < rows:
        depth = rng.randrange(len(TASKS))
        topic = rng.choice(list(TOPICS))
        task = rng.choice(TASKS[depth]).format(s=rng.choice(TOPICS[topic][0]))
        if (zlib.crc32(task.encode()) % 8 == 0) == held_out:
            instructions.append(_write_instruction(rng, task, depth, topic))
    return instructions


def _write_instruction(rng: random.Random, task: str, depth: int, topic: str) -> Instruction:
    count = rng.randint(0, MOST_REQUIREMENTS)
    templates = rng.sample(CONSTRAINTS + STEPS, count)
    requirements = [template.format(n=rng.randint(2, 9), w=rng.choice(TOPICS[topic][1])) for template in templates]
    sentences = [task, *_phrase(rng, requirements)]
    kind = rng.random()
    background = rng.randint(0, 2) if kind < 0.7 else rng.randint(2, 8) if kind < 0.9 else rng.randint(8, 32)
    for _ in range(background):
        sentences.insert(rng.randint(0, len(sentences)), filler_sentence(rng, topic))
    exact = COMPLEXITY_OF_NOTHING + COMPLEXITY_PER_REQUIREMENT * count + COMPLEXITY_PER_DEPTH * depth
    noisy = min(1.0, max(0.0, exact + rng.gauss(0.0, NOISE)))
    return Instruction(" ".join(sentences), round(noisy, 4))


def _phrase(rng: random.Random, requirements: list[str]) -> list[str]:
    """Write the requirements as sentences: numbered, one by one, or up to three to a sentence."""
    style = rng.choice(("numbered", "single", "joined"))
    if style == "numbered":
        return [f"{number}. {capitalised(text)}." for number, text in enumerate(requirements, start=1)]
    if style == "single":
        return [f"{rng.choice(('Please', 'Also', 'You must', 'Then'))} {text}." for text in requirements]
    sentences = []
    rest = list(requirements)
    while rest:
        size = rng.randint(1, 3)
        *first, last = rest[:size]
        del rest[:size]
        sentences.append(capitalised(f"{', '.join(first)} and {last}." if first else f"{last}."))
    return sentences
