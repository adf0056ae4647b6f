"""Read JSON objects with typed getters, which return a value or raise a BundleError that names the field."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from assay.errors import BundleError

__all__ = ["MAX_NUMBER", "Fields"]

MAX_NUMBER = 1e30
"""The largest logit, score or end of a range. float32 also holds the difference of two of these."""

Choice = TypeVar("Choice", bound=str)


class Fields(NamedTuple):
    """A JSON object and where it is, for example "bundles/x/assay.json: scale"."""

    values: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, value: Any, where: str) -> "Fields":
        """Wrap `value`, which must be an object."""
        if not isinstance(value, dict):
            raise BundleError(f"{where}: found {_describe(value)}, expected an object; export the bundle again")
        return cls(value, where)

    def refuse(self, name: str, found: str, expected: str) -> BundleError:
        """Return the error for field `name`, for the caller to raise."""
        return BundleError(f'{self.where}: "{name}" is {found}, expected {expected}; export the bundle again')

    def is_null(self, name: str) -> bool:
        """Return whether the field is null. A missing field is an error."""
        return self._get(name) is None

    def string(self, name: str) -> str:
        """Return a string that is not empty."""
        value = self._get(name)
        if not isinstance(value, str) or not value:
            raise self.refuse(name, _describe(value), "a string that is not empty")
        return value

    def choice(self, name: str, allowed: tuple[Choice, ...]) -> Choice:
        """Return one of the `allowed` strings."""
        value = self.string(name)
        for choice in allowed:
            if value == choice:
                return choice
        raise self.refuse(name, _describe(value), f"one of {', '.join(allowed)}; a newer assay may know it")

    def integer(self, name: str, least: int, most: int | None = None) -> int:
        """Return an integer of at least `least` and, if given, at most `most`."""
        value = self._get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.refuse(name, _describe(value), f"an integer of at least {least}")
        if most is not None and value > most:
            raise self.refuse(name, _describe(value), f"an integer from {least} to {most:,}")
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        """Return a list of strings that are not empty."""
        value = self._get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.refuse(name, _describe(value), "a list of strings that are not empty")
        return tuple(value)

    def number(self, name: str) -> float:
        """Return a number of at most MAX_NUMBER, up or down."""
        value = self._get(name)
        if not _is_number(value):
            raise self.refuse(name, _describe(value), f"a finite number of at most {MAX_NUMBER:g}")
        return float(value)

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        """Return a list of `count` numbers of at most MAX_NUMBER, up or down."""
        value = self._get(name)
        if not isinstance(value, list) or len(value) != count or not all(_is_number(item) for item in value):
            raise self.refuse(name, _describe(value), f"a list of {count} finite numbers of at most {MAX_NUMBER:g}")
        return tuple(float(item) for item in value)

    def mapping(self, name: str) -> "Fields":
        """Return an object."""
        return Fields.of(self._get(name), f'{self.where}: "{name if name.isprintable() else ascii(name)[1:-1]:.100}"')

    def names(self, allowed: tuple[str, ...]) -> list[str]:
        """Return the names of this object's fields, each of which must be one of `allowed`."""
        for name in self.values:
            if name not in allowed:
                raise BundleError(
                    f"{self.where}: {name!r:.100} is not known to this version, which knows {', '.join(allowed)}; "
                    "to fix it: pip install --upgrade assay"
                )
        return list(self.values)

    def each_file(self) -> Iterator[tuple[str, "Fields"]]:
        """Yield each file name with its record. A name that could lead out of the bundle's folder is an error."""
        for name in self.values:
            # Names are always written with "/". What is a path on Windows must not pass on Linux either.
            if not name or "\\" in name or ":" in name or "\0" in name or {"", ".", ".."} & set(name.split("/")):
                raise BundleError(
                    f"{self.where}: {name!r:.100} is absolute or leaves the bundle, expected a relative path inside "
                    "it; do not use this bundle"
                )
            yield name, self.mapping(name)

    def _get(self, name: str) -> Any:
        if name not in self.values:
            raise BundleError(f'{self.where}: "{name}" is missing; export the bundle again')
        return self.values[name]


def _is_number(value: object) -> bool:
    # A comparison with NaN is false, and one with an integer of any length is exact.
    return isinstance(value, int | float) and not isinstance(value, bool) and -MAX_NUMBER <= value <= MAX_NUMBER


def _describe(value: object) -> str:
    """Describe a JSON value in a few words, however large it is."""
    if value is None or isinstance(value, bool | float):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else "a very large integer"
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"a string of {len(value):,} characters"
    return f"a list of {len(value)}" if isinstance(value, list) else "an object"
