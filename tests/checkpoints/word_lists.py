"""Words and sentence templates of the generated training text.

Data only: what is drawn from these lists, and with which label, is decided in pair_text.py and instruction_text.py.
The sentences were written for this repository; they are English enough to exercise a tokenizer and mean nothing.
"""

from dataclasses import dataclass

# topic -> (three subjects that can be asked about, seven words that only set the scene)
TOPICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "weather": (
        ("rain", "fog", "hail"),
        ("cloud", "droplets", "pressure", "humidity", "forecast", "wind", "atmosphere"),
    ),
    "gardening": (
        ("pruning", "grafting", "composting"),
        ("soil", "seedling", "hedge", "blossom", "greenhouse", "orchard", "root"),
    ),
    "cooking": (
        ("baking", "roasting", "pickling"),
        ("dough", "oven", "spice", "butter", "sauce", "kitchen", "flavour"),
    ),
    "astronomy": (
        ("twilight", "stargazing", "gravitation"),
        ("telescope", "orbit", "planet", "galaxy", "starlight", "moon", "observatory"),
    ),
    "medicine": (
        ("fever", "vaccination", "surgery"),
        ("hospital", "nurse", "patient", "symptom", "blood", "clinic", "diagnosis"),
    ),
    "music": (
        ("drumming", "composing", "tuning"),
        ("melody", "rhythm", "chord", "orchestra", "violin", "concert", "harmony"),
    ),
    "finance": (
        ("inflation", "budgeting", "taxation"),
        ("bank", "interest", "currency", "investor", "ledger", "market", "account"),
    ),
    "computing": (
        ("encryption", "debugging", "caching"),
        ("software", "server", "memory", "keyboard", "program", "database", "network"),
    ),
    "textiles": (
        ("weaving", "dyeing", "spinning"),
        ("wool", "loom", "thread", "fabric", "needle", "cotton", "pattern"),
    ),
    "farming": (
        ("ploughing", "irrigation", "harvesting"),
        ("field", "barn", "cattle", "grain", "tractor", "pasture", "sheep"),
    ),
}


@dataclass(frozen=True)
class Aspect:
    """Something that can be asked about any subject, and how it is asked and answered ({s} the subject, {x} a fact)."""

    questions: tuple[str, ...]
    phrases: tuple[str, ...]
    answers: tuple[str, ...]
    facts: tuple[str, ...]


ASPECTS: dict[str, Aspect] = {
    "cause": Aspect(
        ("What causes {s}?", "Why does {s} happen?", "What leads to {s}?"),
        ("the cause of {s}", "the reasons behind {s}"),
        ("{s} forms when {x}.", "Mostly {x}, and {s} follows from that.", "{s} comes about because {x}."),
        ("warm air cools", "demand suddenly rises", "small errors add up", "old habits persist", "energy is released"),
    ),
    "cost": Aspect(
        ("How much does {s} cost?", "What is the price of {s}?", "Is {s} expensive?"),
        ("the price of {s}", "how expensive {s} is"),
        ("{s} costs {x}.", "Expect to pay {x} for {s}.", "For {s} the usual bill comes to {x}."),
        ("twenty coins a week", "forty pounds", "about ninety dollars", "a few cents", "six hundred euros"),
    ),
    "duration": Aspect(
        ("How long does {s} take?", "For how many hours does {s} last?", "Is {s} over quickly?"),
        ("how long {s} lasts", "the duration of {s}"),
        ("{s} takes {x}.", "As a rule {s} is finished after {x}.", "It needs {x} before {s} is done."),
        ("three hours", "ten minutes", "half an afternoon", "a day and a night", "about fifty seconds"),
    ),
    "place": Aspect(
        ("Where is {s} most common?", "In which region does {s} occur?", "Where can one see {s}?"),
        ("where {s} is found", "the region known for {s}"),
        ("{s} is found {x}.", "Travel {x} to see {s}.", "One meets {s} mainly {x}."),
        (
            "along the northern coast",
            "in narrow valleys",
            "near large rivers",
            "across the desert",
            "in southern cities",
        ),
    ),
    "season": Aspect(
        ("When does {s} usually start?", "In which month is {s} best?", "What time of year suits {s}?"),
        ("the right month for {s}", "when {s} usually starts"),
        ("{s} starts {x}.", "The calendar puts {s} {x}.", "Most {s} falls {x}."),
        ("in early April", "late in autumn", "around midsummer", "in cold January", "shortly before October"),
    ),
    "people": Aspect(
        ("Who is responsible for {s}?", "Which people work on {s}?", "Who first studied {s}?"),
        ("who is in charge of {s}", "the people who study {s}"),
        ("{s} is handled by {x}.", "Responsibility for {s} lies with {x}.", "It was {x} who first studied {s}."),
        ("trained volunteers", "a retired professor", "two young sisters", "members of a guild", "the local council"),
    ),
    "risk": Aspect(
        ("What are the dangers of {s}?", "Is {s} safe?", "What can go wrong with {s}?"),
        ("the dangers of {s}", "how safe {s} is"),
        ("{s} may injure {x}.", "Careless {s} can harm {x}.", "The hazard in {s} is a threat to {x}."),
        ("the eyes", "tired hands", "small children", "unprotected skin", "anyone standing close by"),
    ),
    "equipment": Aspect(
        ("What tools does {s} need?", "Which equipment is used for {s}?", "What should I buy for {s}?"),
        ("the tools needed for {s}", "the equipment used in {s}"),
        ("{s} requires {x}.", "Bring {x} for {s}.", "Without {x} there is no {s}."),
        ("a sharp knife", "heavy gloves", "a steel bucket", "a folding ladder", "two copper wires"),
    ),
}

OPENINGS: tuple[str, ...] = (
    "",
    "",
    "",
    "Please help me.",
    "I am preparing a talk.",
    "My neighbour asked me this.",
    "Answer in plain words.",
    "I have been wondering for a while.",
)

# {a}, {b}: two scene words of one topic. They name the topic and answer nothing.
SCENES: tuple[str, ...] = (
    "Talk soon turned to the {a} and the {b}.",
    "Somebody mentioned one {a} next to the {b}.",
    "Nobody forgets the first {a}, nor the {b}.",
    "A picture of the {a} hung above the {b}.",
    "There were notes on every {a} and each {b}.",
)

NEUTRAL: tuple[str, ...] = (
    "That much is widely agreed.",
    "The old letters say little more than this.",
    "Of course, opinions differ from one town to another.",
    "My grandmother kept a blue folder with such remarks.",
    "Many readers have written to us about it.",
    "Let us leave the details aside for now.",
    "It was a quiet evening and everyone listened.",
    "I read this again yesterday and thought of you.",
    "Some things simply have to be seen.",
    "The table was set and the windows were open.",
)

# Each weakens an answer that is otherwise complete.
DOUBTS: tuple[str, ...] = (
    "That is only my guess.",
    "I may well be mistaken here.",
    "Please check this with somebody else.",
    "Do not rely on my word alone.",
)
