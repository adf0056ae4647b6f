import gzip
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import InputError, Scorer
from assay.annotate import annotate_file
from assay.annotate.output.compression import compress, join_frames
from assay.inputs.files.compression import open_decompressed
from assay.inputs.files.names import Compression

pytest.importorskip("zstandard")
KINDS: list[Compression] = ["", "gz", "zst"]


def decompress(data: bytes, kind: Compression) -> bytes:
    return open_decompressed(io.BufferedReader(io.BytesIO(data)), kind, "f").read()


@pytest.mark.parametrize("kind", KINDS)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=6))
def test_parts_compressed_apart_and_joined_are_read_as_one(kind: Compression, parts: list[bytes]) -> None:
    assert decompress(b"".join(compress(part, kind) for part in parts), kind) == b"".join(parts)


@pytest.mark.parametrize("kind", KINDS)
def test_compression_depends_on_the_data_alone(kind: Compression) -> None:
    assert compress(b"abc" * 99, kind) == compress(b"abc" * 99, kind)


@pytest.mark.parametrize("kind", ["gz", "zst"])
@pytest.mark.parametrize("keep", [0, 1, 20, -1, -9])
def test_a_file_that_is_cut_short_is_refused_and_not_read_as_a_shorter_one(kind: Compression, keep: int) -> None:
    whole = compress(bytes(range(256)) * 40, kind) * 2
    with pytest.raises(InputError, match=r"^f: is (damaged|cut short)"):
        decompress(whole[:keep], kind)


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_damaged_file_is_refused(kind: Compression) -> None:
    whole = bytearray(compress(bytes(range(256)) * 40, kind))
    whole[len(whole) // 2] ^= 255
    with pytest.raises(InputError, match=r"^f: is damaged"):
        decompress(bytes(whole), kind)
    with pytest.raises(InputError, match=r"^f: is damaged"):
        decompress(b"no compressed file", kind)


def test_frames_are_joined_into_one_that_every_reader_reads_whole() -> None:
    import zstandard

    parts = [bytes([number]) * 5_000 for number in range(50)]
    out = io.BytesIO()
    join_frames(io.BytesIO(b"".join(compress(part, "zst") for part in parts)), out)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(out.getvalue()) == b"".join(parts)


def test_gzip_members_are_read_by_other_tools(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(compress(b"a\n", "gz") + compress(b"1\n", "gz") + compress(b"2\n", "gz"))
    assert subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout == b"a\n1\n2\n"
    assert gzip.decompress(path.read_bytes()) == b"a\n1\n2\n"
    pandas = pytest.importorskip("pandas")
    assert pandas.read_csv(path)["a"].tolist() == [1, 2]
    polars = pytest.importorskip("polars")
    assert polars.read_csv(path)["a"].to_list() == [1, 2]


def test_a_missing_package_names_its_extra() -> None:
    code = (
        "import sys; sys.modules['zstandard'] = None\n"
        "from assay.annotate.output.compression import compress\n"
        "try: compress(b'a', 'zst')\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("InstallationError a .zst file needs zstandard")
    assert "pip install 'assay[zstd]'" in done.stdout


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_as_a_file_is(scorer: Scorer, tmp_path: Path) -> None:
    pipe = tmp_path / "in.jsonl.gz"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(b'{"text": "a"}\n'),))
    writer.start()
    assert annotate_file(scorer, pipe, tmp_path / "out.jsonl").rows == 1
    writer.join()
