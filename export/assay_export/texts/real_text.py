"""Real text for the parity gates, written for this repository so that it can be distributed with it."""

__all__ = ["TEXTS", "rows"]

TEXTS = (
    "What causes rain?",
    "Rain forms when water vapour in the atmosphere cools and condenses into droplets heavy enough to fall.",
    "Write a haiku about a lighthouse in winter.",
    "Explain to a ten-year-old why the sky is blue, and then explain it again to a physics student.",
    "Ok.",
    "",
    "Translate “good morning” into French, German and Japanese — one per line, please.",
    "Given a list of integers, return the length of the longest strictly increasing subsequence in O(n log n) time, "
    "prove the bound, and describe what changes if equal elements may repeat.",
    "I never watched the game, but my cousin did and she said the weather was lovely.",
    "Plan a three-day trip to Lisbon for two adults and a toddler on 400 euros; avoid hills, include one museum a day, "
    "and say what to do if it rains.",
    "def add(a, b):\n    return a + b\n",
    "The committee met on 3 March 2021 (at 10:45 a.m.) and approved items #4, #7 & #12 by 9 votes to 2.",
    "Summarise the following paragraph in one sentence: Bees find their way home by the position of the sun, which "
    "they correct for the time of day. On overcast days they read the polarisation of the light instead.",
    "¿Dónde está la biblioteca? Ελληνικά, русский, 中文, العربية and emoji 🙂 in one line.",
    "Compare three database engines for a small shop's orders.\n1. State the workload.\n2. Name two failure modes "
    "each.\n3. Recommend one and say which single fact would change your mind.",
    "Sure, here is a recipe for lentil soup: rinse 200 g of lentils, fry an onion with cumin, add stock, simmer for "
    "half an hour, and finish with lemon.",
)


def rows(kind: str) -> list[tuple[str, ...]]:
    """Return the texts as rows of a model's input: each alone ("text"), or with the one after it ("pair")."""
    if kind == "text":
        return [(text,) for text in TEXTS]
    return list(zip(TEXTS, (*TEXTS[1:], TEXTS[0]), strict=True))
