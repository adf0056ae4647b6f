"""The seal of assay.json, which reveals a change of any of its bytes.

The last key of the document is "sha256", and its value is the SHA-256 of the file's exact bytes with these 64 digits
replaced by 64 zeros. It is the same in every schema version, so it is checked before anything is parsed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from assay.errors import BundleError

__all__ = ["MAX_BYTES", "digest", "read_sealed", "write_sealed"]

MAX_BYTES = 64 << 20
"""The most bytes of a manifest. It has some kilobytes; the limit prevents reading all of a wrong file."""

_DIGITS = 64  # hexadecimal digits of a SHA-256
_ZEROS = b"0" * _DIGITS
_TAIL = re.compile(rb'"sha256": "([0-9a-f]{64})"\n\}\n\Z')

_RE_EXPORT = "export the bundle again"


def write_sealed(document: Mapping[str, Any]) -> bytes:
    """Return the JSON of `document` with its seal, which replaces the key "sha256" if it has one."""
    body = {key: value for key, value in document.items() if key != "sha256"}
    body["sha256"] = "0" * _DIGITS
    data = (json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    start = len(data) - len(b'"\n}\n') - _DIGITS
    return data[:start] + digest(data, start) + data[start + _DIGITS :]


def read_sealed(data: bytes, where: str) -> Any:
    """Check the seal of `data` and return its JSON. `where` names the file in errors.

    Raises:
        BundleError: The bytes have no seal or another one, or are not JSON.
    """
    if len(data) > MAX_BYTES:
        raise BundleError(f"{where}: larger than {MAX_BYTES:,} bytes, so it is not a manifest; {_RE_EXPORT}")
    tail = _TAIL.search(data, max(0, len(data) - _DIGITS - 32))
    if tail is None:
        raise BundleError(
            f'{where}: does not end in the seal ("sha256" as the last key), so it was cut short, '
            f"changed or not written by assay export; {_RE_EXPORT}"
        )
    if digest(data, tail.start(1)) != tail[1]:
        raise BundleError(f"{where}: its bytes do not match its seal, so it was damaged or edited; {_RE_EXPORT}")
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: is not JSON in UTF-8 ({error}); {_RE_EXPORT}") from error


def digest(data: bytes, start: int) -> bytes:
    """Return the hexadecimal SHA-256 of `data` with the 64 bytes from `start` replaced by zeros."""
    hasher = hashlib.sha256(data[:start])
    hasher.update(_ZEROS)
    hasher.update(data[start + _DIGITS :])
    return hasher.hexdigest().encode("ascii")
