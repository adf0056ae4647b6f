"""A bundle's folder: finds its files, checks their sizes and hashes, and picks the graph for a device and a variant.

It parses nothing but assay.json (manifest.py), and starts no session.

Between a file's hash and its use by ONNX Runtime, which maps the weights from disk, lies a moment in which another
process could change it: the hashes are a guard against damage and mix-ups, not against someone who may write to the
folder.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from assay.bundle.manifest import MANIFEST_NAME, TOKENIZER_NAME, Graph, Manifest, read
from assay.devices import Kind
from assay.errors import BundleError, InputError, one_line
from assay.inputs.validation import describe
from assay.threads import usable_cores

__all__ = ["Bundle", "Choice", "open_bundle"]

# Best first: the precision that "auto" takes where the bundle has it, which it has only if it passed its gate.
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


@dataclass(frozen=True, slots=True)
class Choice:
    """One graph of a bundle, the names it goes by, and why it was chosen, where it was."""

    variant: str
    dialect: str
    graph: Graph
    why: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder whose manifest has been read."""

    folder: Path
    manifest: Manifest

    @property
    def revision(self) -> str | None:
        """The Hub's commit; None for a local folder. hub.py has the bundles of the Hub."""
        return None

    @property
    def cure(self) -> str:
        """What to do about a damaged file."""
        return "copy the bundle again or export it again"

    def obtain(self, names: Iterable[str]) -> None:
        """Get the files, where they come from elsewhere. In a local folder they are there, or a check says so."""

    def choose(self, variant: str, device: Kind, unusable: Mapping[str, str] = MappingProxyType({})) -> Choice:
        """Choose the graph of `variant` for a device.

        Args:
            variant: Its name, or "auto" for the first that the bundle has and this process can run.
            device: The kind of device.
            unusable: Variants and dialects that this process cannot run, each with the reason
                (assay.ort.usable.find_unusable).

        Raises:
            BundleError: The bundle has no such graph, or only one that this process cannot run.
        """
        variants = self.manifest.variants
        wanted = _AUTO[device] if variant == "auto" else (variant,)
        passed_over: list[str] = []
        for name in wanted:
            if name not in variants:
                passed_over.append(f"the bundle has no {name}")
            for dialect in _DIALECTS[device]:
                if dialect not in variants.get(name, {}):
                    continue
                if reason := unusable.get(name) or unusable.get(dialect):
                    passed_over.append(f"{name} is not used: {reason}")
                    continue
                return Choice(name, dialect, variants[name][dialect], _why(variant, passed_over, device))
        reasons = [reason for reason in passed_over if "is not used" in reason]
        if variant != "auto" and reasons:
            raise BundleError(f"{self.folder}: {reasons[0]}, or load another variant")
        present = ", ".join(f"{name} ({'/'.join(dialects)})" for name, dialects in variants.items())
        reads = " or ".join(_DIALECTS[device])
        raise BundleError(
            f"{self.folder}: has no variant {' or '.join(wanted)} for {device} (dialect {reads}), it has {present}; "
            f"{self._adding('' if variant in ('auto', 'fp32') else variant)}"
        )

    def _adding(self, variant: str) -> str:
        """What to do about a variant that is not there; "" is fp32, which every export makes."""
        asked = f" --variants fp32,{variant}" if variant else ""
        return (
            f"ask for one of these, or add it with: assay export SOURCE --out {self.folder}{asked} --force "
            "(assay export --help lists the variants)"
        )

    def choices(self) -> list[Choice]:
        """Every graph of the bundle."""
        return [
            Choice(variant, dialect, graph)
            for variant, dialects in self.manifest.variants.items()
            for dialect, graph in dialects.items()
        ]

    def needed(self, choice: Choice) -> list[str]:
        """The files to check before `choice` is used: all but the graphs and weights of other variants.

        The other dialect of the same variant is small beside the weights that both share, and is checked with them.
        """
        others = {name for other in self.choices() if other.variant != choice.variant for name in other.graph.files}
        own = {name for other in self.choices() if other.variant == choice.variant for name in other.graph.files}
        return [name for name in self.manifest.files if name in own or name not in others]

    def tokenizer_json(self, verify: bool) -> bytes:
        """The bytes of tokenizer.json, read once, so that what is parsed is what was hashed."""
        path = self.folder / TOKENIZER_NAME
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _unreadable(path, error) from error
        if verify:
            self._compare(TOKENIZER_NAME, len(data), hashlib.sha256(data).hexdigest())
        return data

    def check_sizes(self, names: Iterable[str]) -> None:
        """Raise BundleError unless each file is there and as long as the manifest says."""
        self._report(self._size_problem(name) for name in names)

    def check_hashes(self, names: Iterable[str]) -> None:
        """Raise BundleError, naming every bad file, unless each file's size and SHA-256 are what the manifest says."""
        names = list(names)
        self.check_sizes(names)
        # hashlib lets go of the interpreter lock, so that large files are hashed side by side.
        with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
            self._report(pool.map(self._hash_problem, names))

    def damaged(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that are missing, or are not what the manifest says."""
        names = list(names)
        with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
            problems = pool.map(lambda name: self._size_problem(name) or self._hash_problem(name), names)
            return [name for name, problem in zip(names, problems, strict=True) if problem]

    def _report(self, problems: Iterable[str | None]) -> None:
        found = [problem for problem in problems if problem is not None]
        if found:
            raise BundleError(f"{'; '.join(found)}; {self.cure}")

    def _size_problem(self, name: str) -> str | None:
        path = self.folder / name
        try:
            if not path.is_file():
                return f"{path}: {'is no file' if path.exists() else 'is missing'}"
            size = path.stat().st_size
        except OSError as error:
            return f"{path}: cannot be read ({one_line(error)})"
        expected = self.manifest.files[name].size
        return None if size == expected else f"{path}: has {size:,} bytes, expected {expected:,}"

    def _hash_problem(self, name: str) -> str | None:
        path = self.folder / name
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
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
                f"{expected.size:,} with {expected.sha256[:12]}...; {self.cure}"
            )


def _why(variant: str, passed_over: Sequence[str], device: Kind) -> str:
    """Why a graph was chosen, given what "auto" passed over before it."""
    if variant != "auto":
        return "asked for"
    return f"auto: on {device} {'; '.join(passed_over)}" if passed_over else f"auto: first choice on {device}"


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read the manifest of the bundle in the folder `path`. Raises BundleError, and InputError for no path at all."""
    try:
        folder = Path(path)
    except TypeError:
        raise InputError(f"path is {describe(path)}, expected the path of a bundle's folder (str or Path)") from None
    try:
        if folder.is_file():
            raise BundleError(
                f"{folder}: is a file, expected a bundle's folder; give the folder that holds {MANIFEST_NAME}"
            )
        if not folder.is_dir():
            raise BundleError(f"{folder}: no such folder; make a bundle with: assay export SOURCE --out {folder}")
    except (OSError, ValueError) as error:  # no permission; a NUL character in the path
        raise _unreadable(folder, error) from error
    return Bundle(folder, read(folder / MANIFEST_NAME))


def _unreadable(path: Path, error: Exception) -> BundleError:
    return BundleError(f"{path!s}: cannot be read ({one_line(error)}); check the path and its permissions")
