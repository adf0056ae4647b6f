import pytest

from assay import InputError
from assay.annotate.formats.names import check_conversion
from assay.inputs.files.names import Format


def test_a_conversion_that_keeps_everything_is_allowed() -> None:
    assert check_conversion("a.csv.gz", "b.jsonl") == (Format("csv", "gz"), Format("jsonl", ""))
    assert check_conversion("-", "-") == (Format("jsonl", ""), Format("jsonl", ""))


@pytest.mark.parametrize(
    ("source", "target"), [("a.jsonl", "b.csv"), ("a.parquet", "b.csv"), ("a.parquet", "b.tsv"), ("-", "b.csv")]
)
def test_a_conversion_that_would_lose_something_is_refused(source: str, target: str) -> None:
    with pytest.raises(InputError, match=r"cannot be written as .*, expected an OUTPUT of \."):
        check_conversion(source, target)


def test_plain_text_is_not_annotated() -> None:
    with pytest.raises(InputError, match=r"^a\.txt: ends in '\.txt'"):
        check_conversion("a.txt", "b.jsonl")


def test_standard_input_and_output_have_the_format_that_is_named() -> None:
    assert check_conversion("-", "-", "csv") == (Format("csv", ""), Format("csv", ""))
    assert check_conversion("-", "b.parquet", "tsv") == (Format("tsv", ""), Format("parquet", ""))
    assert check_conversion("a.csv", "-", "tsv") == (Format("csv", ""), Format("tsv", ""))
    for format, names in (("txt", ("-", "-")), ("parquet", ("-", "-")), ("csv", ("a.csv", "b.csv"))):
        with pytest.raises(InputError, match="format is"):
            check_conversion(*names, format)
