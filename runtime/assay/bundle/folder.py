"""Find the files of a bundle, check their sizes and hashes, and choose the graph for a device and a variant.

This module parses only assay.json (manifest.py), and starts no session.

Another process could change a file after it was hashed and before ONNX Runtime maps it from disk: the hashes protect
against damage and mix-ups, not against someone with write access to the folder.
"""

import hashlib
import mmap
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from assay.bundle.manifest import MANIFEST_NAME, TOKENIZER_NAME, VARIANTS, Graph, Manifest, read
from assay.devices import Kind
from assay.errors import BundleError, InputError, one_line
from assay.files import find_encoding_problem, read_bounded
from assay.inputs.validation import describe
from assay.system.threads import usable_cores

__all__ = ["Bundle", "Choice", "check_variant", "open_bundle"]

# The order in which "auto" tries variants. A bundle contains a variant only if it passed its gate.
_AUTO: dict[Kind, tuple[str, ...]] = {
    "cpu": ("int8", "int8_ort", "fp32"),
    "cuda": ("fp16", "fp32"),
    "tensorrt": ("int8_qdq", "fp16", "fp32"),
}
# The cpu dialect may use operators that only the CPU provider has, the kernels dialect those of assay-kernels.
_DIALECTS: dict[Kind, tuple[str, ...]] = {
    "cpu": ("kernels", "cpu", "portable"),
    "cuda": ("portable",),
    "tensorrt": ("portable",),
}

_MAX_TOKENIZER = 512 << 20  # bytes; the largest known vocabularies take some tens of megabytes


@dataclass(frozen=True, slots=True)
class Choice:
    """One graph of a bundle with its variant and dialect, and why it was chosen."""

    variant: str
    dialect: str
    graph: Graph
    why: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder with a manifest that was read. assay.bundle.hub extends it for bundles on the Hub."""

    folder: Path
    manifest: Manifest

    @property
    def revision(self) -> str | None:
        """The commit on the Hub. None for a local folder."""
        return None

    @property
    def remedy(self) -> str:
        """What to do about a damaged file."""
        return "copy the bundle again or export it again"

    def obtain(self, names: Iterable[str]) -> None:
        """Download the files that are missing. Does nothing in a local folder, where the checks report them."""

    def choose(self, variant: str, device: Kind, unusable: Mapping[str, str] = MappingProxyType({})) -> Choice:
        """Choose the graph of `variant` for a device.

        Args:
            variant: Its name, or "auto" for the first that the bundle has and this process can run.
            device: The kind of device.
            unusable: Variants and dialects that this process cannot run, each with the reason
                (assay.ort.usable.find_unusable).

        Raises:
            InputError: There is no variant of this name.
            BundleError: The bundle has no such graph, or only one that this process cannot run.
        """
        check_variant(variant)
        variants = self.manifest.variants
        wanted = _AUTO[device] if variant == "auto" else (variant,)
        missing: list[str] = []
        reasons: list[str] = []
        for name in wanted:
            if name not in variants:
                missing.append(f"no {name}")
            for dialect in _DIALECTS[device]:
                if dialect not in variants.get(name, {}):
                    continue
                if reason := unusable.get(name) or unusable.get(dialect):
                    reasons.append(f"{name} is not used: {reason}")
                    continue
                why = _explain_choice(variant, reasons, missing, device)
                return Choice(name, dialect, variants[name][dialect], why)
        if variant != "auto" and reasons:
            raise BundleError(f"{self.folder}: {reasons[0]}, or load another variant")
        present = ", ".join(f"{name} ({'/'.join(dialects)})" for name, dialects in variants.items())
        reads = " or ".join(_DIALECTS[device])
        raise BundleError(
            f"{self.folder}: has no variant {' or '.join(wanted)} for {device} (dialect {reads}), it has {present}; "
            f"{self._suggest_variant('' if variant in ('auto', 'fp32') else variant)}"
        )

    def _suggest_variant(self, variant: str) -> str:
        """Say what to do about a missing variant. "" stands for fp32, which every export makes."""
        asked = f" --variants fp32,{variant}" if variant else ""
        return (
            f"ask for one of these, or add it with: assay export SOURCE --out {self.folder}{asked} --force "
            "(assay export --help lists the variants)"
        )

    def list_choices(self) -> list[Choice]:
        """Return every graph of the bundle."""
        return [
            Choice(variant, dialect, graph)
            for variant, dialects in self.manifest.variants.items()
            for dialect, graph in dialects.items()
        ]

    def list_needed(self, choice: Choice) -> list[str]:
        """Return the files to check before `choice` is used: all except the graphs and weights of other variants.

        The other dialect of the same variant is included. It is small compared with the weights that both share.
        """
        others = {
            name for other in self.list_choices() if other.variant != choice.variant for name in other.graph.files
        }
        own = {name for other in self.list_choices() if other.variant == choice.variant for name in other.graph.files}
        return [name for name in self.manifest.files if name in own or name not in others]

    def read_tokenizer(self, verify: bool) -> bytes:
        """Return the bytes of tokenizer.json, read once, so that the parsed bytes are those that were hashed."""
        path = self.folder / TOKENIZER_NAME
        try:
            data = read_bounded(path, _MAX_TOKENIZER)
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        if verify:
            self._compare(TOKENIZER_NAME, len(data), hashlib.sha256(data).hexdigest())
        return data

    def check_sizes(self, names: Iterable[str]) -> None:
        """Raise BundleError unless each file exists and has the size in the manifest."""
        self._report(self._size_problem(name) for name in names)

    def check_hashes(self, names: Iterable[str]) -> None:
        """Raise BundleError that names every bad file, unless all have the size and SHA-256 in the manifest."""
        names = list(names)
        self.check_sizes(names)
        # hashlib releases the interpreter lock, so that threads hash large files in parallel.
        with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
            self._report(pool.map(self._hash_problem, names))

    def find_damaged(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` that are missing or differ from the manifest."""
        names = list(names)
        with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
            problems = pool.map(lambda name: self._size_problem(name) or self._hash_problem(name), names)
            return [name for name, problem in zip(names, problems, strict=True) if problem]

    def _report(self, problems: Iterable[str | None]) -> None:
        found = [problem for problem in problems if problem is not None]
        if found:
            raise BundleError(f"{'; '.join(found)}; {self.remedy}")

    def _size_problem(self, name: str) -> str | None:
        path = self.folder / name
        try:
            if not path.is_file():
                return f"{path}: {'is not a file' if path.exists() else 'is missing'}"
            size = path.stat().st_size
        except OSError as error:
            return f"{path}: cannot be read ({one_line(error)})"
        expected = self.manifest.files[name].size
        return None if size == expected else f"{path}: has {size:,} bytes, expected {expected:,}"

    def _hash_problem(self, name: str) -> str | None:
        path = self.folder / name
        try:
            digest = _hash(path)
        except OSError as error:
            return f"{path}: cannot be read ({one_line(error)})"
        expected = self.manifest.files[name].sha256
        if digest == expected:
            return None
        return f"{path}: is damaged or changed, its sha256 is {digest[:12]}..., expected {expected[:12]}..."

    def _compare(self, name: str, size: int, digest: str) -> None:
        expected = self.manifest.files[name]
        if (size, digest) != (expected.size, expected.sha256):
            raise BundleError(
                f"{self.folder / name}: is damaged or changed, {size:,} bytes with sha256 {digest[:12]}..., expected "
                f"{expected.size:,} with {expected.sha256[:12]}...; {self.remedy}"
            )


def _hash(path: Path) -> str:
    """Hash a file in one call.

    Reading block by block would take the interpreter lock for each of them, and wait while another thread parses the
    tokenizer, which holds it for some tenths of a second.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:  # which cannot be mapped
            return hashlib.sha256().hexdigest()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return hashlib.sha256(content).hexdigest()


def _explain_choice(variant: str, reasons: Sequence[str], missing: Sequence[str], device: Kind) -> str:
    """Say why a graph was chosen, given what "auto" passed over before it."""
    if variant != "auto":
        return "asked for"
    passed_over = [*reasons, f"the bundle has {' and '.join(missing)}"] if missing else reasons
    return f"auto: on {device} {'; '.join(passed_over)}" if passed_over else f"auto: first choice on {device}"


def check_variant(variant: object) -> None:
    """Raise InputError unless `variant` is "auto" or the name of a variant."""
    names = ("auto", *VARIANTS)
    if not isinstance(variant, str):
        raise InputError(f"variant is {describe(variant)}, expected 'auto' or the name of a variant (str)")
    if variant not in names:
        meant = variant.strip().lower().replace("-", "_")
        hint = f"; did you mean {meant!r}?" if meant in names else ""
        raise InputError(f"variant is {variant!r:.80}, expected one of {', '.join(names)}{hint}")


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read the manifest of the bundle in the folder `path`.

    Raises:
        InputError: `path` is empty, or not a path.
        BundleError: There is no bundle, or its manifest is damaged.
    """
    try:
        folder = Path(path)
    except TypeError:
        raise InputError(f"path is {describe(path)}, expected the path of a bundle's folder (str or Path)") from None
    if os.fspath(path) == "":
        raise InputError(
            "path is '', expected the path of a bundle's folder or its name on the Hub; '.' is the current folder"
        )
    if (problem := find_encoding_problem(folder)) is not None:
        raise InputError(problem)
    try:
        if folder.is_file():
            raise BundleError(
                f"{folder}: is a file, expected a bundle's folder; pass the folder that contains {MANIFEST_NAME}"
            )
        if not folder.is_dir():
            raise BundleError(f"{folder}: no such folder; make a bundle with: assay export SOURCE --out {folder}")
    except (OSError, ValueError) as error:  # no permission; a NUL character in the path
        raise _unreadable(folder, error) from error
    return Bundle(folder, read(folder / MANIFEST_NAME))


def _unreadable(path: Path, error: Exception) -> BundleError:
    return BundleError(f"{path!s}: cannot be read ({one_line(error)}); check the path and its permissions")
