import pytest

from assay import InputError
from assay.annotate.formats import Format, check_conversion, format_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("-", Format("jsonl", "")),
        ("a.jsonl", Format("jsonl", "")),
        ("a.b.NDJSON.GZ", Format("jsonl", "gz")),
        ("a.csv.zst", Format("csv", "zst")),
        ("folder.csv/a.tsv", Format("tsv", "")),
        ("a.parquet", Format("parquet", "")),
    ],
)
def test_a_name_says_format_and_compression(name: str, expected: Format) -> None:
    assert format_of(name) == expected


@pytest.mark.parametrize("name", ["a", "a.json", "a.gz", ".gz", "a.csv.bz2", "jsonl", "a.jsonl/b", ""])
def test_a_name_that_says_no_format_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"says no format, expected \.jsonl"):
        format_of(name)


def test_a_compressed_parquet_file_is_refused() -> None:
    with pytest.raises(InputError, match="compresses its own columns"):
        format_of("a.parquet.gz")


@pytest.mark.parametrize(
    ("source", "target"), [("a.jsonl", "b.csv"), ("a.parquet", "b.csv"), ("a.parquet", "b.tsv"), ("-", "b.csv")]
)
def test_a_conversion_that_would_lose_something_is_refused(source: str, target: str) -> None:
    with pytest.raises(InputError, match=r"cannot be written as .*, expected an OUTPUT of \."):
        check_conversion(source, target)
