"""Control characters in names: they break lines, tables and terminals, so names have none and messages escape them."""

import re

__all__ = ["escape_controls", "find_control"]

# C0 and C1 controls, line and paragraph separators, embeddings and overrides of the writing direction, surrogates.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def find_control(text: str) -> str | None:
    """Return the first control character of `text` and its place, such as "U+000A at character 3"; None without one."""
    found = _CONTROL.search(text)
    return None if found is None else f"U+{ord(found[0]):04X} at character {found.start()}"


def escape_controls(text: str) -> str:
    """Return `text` with each control character as an escape of Python, such as \\x1b."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
