from typing import Any

import pytest

from assay import InputError
from assay.inputs.files.fields import look_up, read_texts

CHAT: dict[str, Any] = {
    "messages": [{"content": "hi"}, {"content": None}],
    "a.b": "dotted",
    "a": {"b": "nested", "c.d": 1},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("messages.0.content", "hi"),
        ("messages.1.content", None),
        ("a.b", "dotted"),  # an exact key wins over a path
        ("a.c.d", 1),  # at every step
        ("a", CHAT["a"]),
    ],
)
def test_a_path_goes_through_objects_and_lists(path: str, value: object) -> None:
    assert look_up(CHAT, path, "x") == value


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("b", "found messages, a.b, a"),
        ("a.x", "found b, c.d"),
        ("messages.2.content", r"found a list of 2 before \.2"),
        ("messages.-1.content", r"found a list of 2 before \.-1"),
        ("messages.0.content.x", r"found a str of 2 characters before \.x"),
        ("messages.1.content.x", r"found None before \.x"),
        ("", "found messages"),
    ],
)
def test_the_error_of_a_missing_field_says_how_far_its_path_leads(path: str, found: str) -> None:
    with pytest.raises(InputError, match=rf'^f, line 7, field "{path}": is missing, {found}'):
        look_up(CHAT, path, "f, line 7")


@pytest.mark.parametrize("value", [None, 3, 1.5, True, ["a"], {"a": 1}, "\ud800"])
def test_a_value_that_is_not_a_text_is_refused_with_line_and_field(value: object) -> None:
    with pytest.raises(InputError, match=r'^f, line 7, field "q\.t": found .*, expected'):
        read_texts({"q": {"t": value}}, ["q.t"], "text", "f, line 7")


def test_a_pair_has_two_fields_and_a_length_together() -> None:
    assert read_texts({"a": "x", "b": ""}, ["a", "b"], "pair", "w") == ("x", "")
    half = "x" * 600_000
    with pytest.raises(InputError, match="1,200,000 characters together"):
        read_texts({"a": half, "b": half}, ["a", "b"], "pair", "w")


@pytest.mark.parametrize("name", ["a\nb", "x" * 70_000])
def test_the_names_in_an_error_are_on_one_line_and_not_too_long(name: str) -> None:
    for document in ({name: "a"}, [name]):
        with pytest.raises(InputError) as caught:
            look_up(document, f"{name}.c", "w")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 1_000
