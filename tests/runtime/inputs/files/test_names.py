import pytest

from assay import InputError
from assay.inputs.files.names import FileKind, Format, parse_name

KINDS: tuple[FileKind, ...] = ("jsonl", "csv", "tsv", "parquet")


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
def test_a_name_tells_format_and_compression(name: str, expected: Format) -> None:
    assert parse_name(name, KINDS) == expected


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("a", ""),
        ("a.json", ".json"),
        ("a.gz", ".gz"),
        ("a.json.gz", ".json.gz"),
        (".gz", ""),
        ("a.csv.bz2", ".bz2"),
        ("jsonl", ""),
        ("a.jsonl/b", ""),
        ("", ""),
        ("a.txt", ".txt"),
    ],
)
def test_a_name_with_another_end_is_refused(name: str, end: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_name(name, KINDS)
    assert str(caught.value) == (
        f"{name}: ends in {end!r}, expected .jsonl, .ndjson, .csv or .tsv, each also with .gz or .zst, or .parquet, "
        "or - for standard input"
    )


def test_only_the_kinds_that_the_caller_reads_are_known() -> None:
    assert parse_name("a.txt.gz", ("jsonl", "txt")) == Format("txt", "gz")
    with pytest.raises(InputError, match=r"ends in '\.parquet', expected \.jsonl, \.ndjson or \.txt, each also"):
        parse_name("a.parquet", ("jsonl", "txt"))


def test_a_compressed_parquet_file_is_refused() -> None:
    with pytest.raises(InputError, match="compresses its own columns"):
        parse_name("a.parquet.gz", KINDS)
