"""Which instruction set runs, and what is said where none can."""

import ctypes

import numpy as np
import pytest

from tests.kernels.cases import make
from tests.kernels.effort import SANITIZED
from tests.kernels.graphs import LIBRARY, session_of
from tests.kernels.test_linear import INPUTS, run


def library() -> ctypes.CDLL:
    if not LIBRARY.is_file():
        pytest.skip(f"{LIBRARY} is not built")
    loaded = ctypes.CDLL(str(LIBRARY))
    for name in ("version", "instruction_set", "instruction_sets", "problem"):
        getattr(loaded, f"assay_kernels_{name}").restype = ctypes.c_char_p
    return loaded


@pytest.mark.skipif(not SANITIZED, reason="make test-kernels-sanitized runs this")
def test_the_library_under_test_is_sanitized_and_has_the_emulated_instruction_sets() -> None:
    assert b"__asan_init" in LIBRARY.read_bytes()
    names = library().assay_kernels_instruction_sets().decode().split(",")
    if "avx512vnni" in names:
        assert {"amx", "avxvnni"} < set(names)


def test_the_forced_instruction_set_is_the_one_that_runs(instruction_set: str) -> None:
    assert library().assay_kernels_instruction_set().decode() == instruction_set


def test_the_best_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_KERNELS_ISA", raising=False)
    names = library().assay_kernels_instruction_sets().decode().split(",")
    assert library().assay_kernels_instruction_set().decode() == names[0]
    assert names[-1] == "plain"


def test_an_unknown_instruction_set_is_an_error_that_lists_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    names = library().assay_kernels_instruction_sets().decode().replace(",", ", ")
    monkeypatch.setenv("ASSAY_KERNELS_ISA", "sse9")
    problem = f"ASSAY_KERNELS_ISA=sse9, but this machine has {names}"
    assert library().assay_kernels_instruction_set() is None
    assert library().assay_kernels_problem().decode() == problem
    with pytest.raises(Exception, match=problem):
        run(make(k=64, n=64, tokens=1))


def test_sessions_of_several_instruction_sets_live_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make(k=300, n=100, tokens=20, activation="gelu")
    sessions = []
    for name in library().assay_kernels_instruction_sets().decode().split(","):
        monkeypatch.setenv("ASSAY_KERNELS_ISA", name)
        fed = {"x": np.float32}
        sessions.append(session_of("Linear", INPUTS, case.layer.initializers, case.layer.attributes, fed=fed))
    answers = [session.run(None, case.feed)[0] for session in sessions]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=1e-5, atol=1e-5)


def test_an_older_onnx_runtime_is_refused_by_name() -> None:
    """A stand-in for ONNX Runtime 1.20: it knows no later table of functions, and keeps what it is told."""
    told: list[str] = []

    def keep(_code: int, message: bytes) -> int:
        told.append(message.decode())
        return 1

    create_status = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)(keep)
    table = (ctypes.c_void_p * 1)(ctypes.cast(create_status, ctypes.c_void_p))
    get_api = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(
        lambda version: ctypes.addressof(table) if version <= 20 else None
    )
    version = ctypes.create_string_buffer(b"1.20.1")
    get_version = ctypes.CFUNCTYPE(ctypes.c_void_p)(lambda: ctypes.addressof(version))
    base = (ctypes.c_void_p * 2)(ctypes.cast(get_api, ctypes.c_void_p), ctypes.cast(get_version, ctypes.c_void_p))
    register = library().RegisterCustomOps
    register.restype = ctypes.c_void_p
    assert register(None, ctypes.byref(base)) == 1
    assert told == ["assay-kernels needs ONNX Runtime 1.23 or newer; this is 1.20.1"]


@pytest.mark.skipif(SANITIZED, reason="the sanitizers make it larger")
def test_the_library_is_smaller_than_a_megabyte() -> None:
    library()
    assert LIBRARY.stat().st_size < 1_000_000
