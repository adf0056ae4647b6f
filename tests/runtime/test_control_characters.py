import pytest

from assay.control_characters import escape_controls, find_control
from assay.errors import AssayError, one_line


@pytest.mark.parametrize(
    ("text", "found", "escaped"),
    [
        ("a\nb", "U+000A at character 1", r"a\nb"),
        ("\x1b[2J", "U+001B at character 0", r"\x1b[2J"),
        ("a\x00", "U+0000 at character 1", r"a\x00"),
        ("a\x9bb", "U+009B at character 1", r"a\x9bb"),
        ("\u2028", "U+2028 at character 0", r"\u2028"),
        ("a\u202eb\u2066", "U+202E at character 1", r"a\u202eb\u2066"),
        ("\ud800", "U+D800 at character 0", r"\ud800"),
        ("tab\there", "U+0009 at character 3", r"tab\there"),
    ],
    ids=ascii,
)
def test_a_control_character_is_found_and_escaped(text: str, found: str, escaped: str) -> None:
    assert find_control(text) == found
    assert escape_controls(text) == escaped
    assert find_control(escaped) is None


@pytest.mark.parametrize("text", ["", "plain", "ünïcode 字", "a\u00a0b", "👩\u200d🔬", "\u200f\u05d0", "back\\slash"])
def test_other_text_is_as_it_was(text: str) -> None:
    assert find_control(text) is None
    assert escape_controls(text) == text


def test_a_message_on_one_line_has_no_control_characters() -> None:
    assert one_line(AssayError("a\nb \x1b[31m c")) == r"a b \x1b[31m c"
