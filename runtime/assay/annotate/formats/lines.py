"""The lines of an input that a later run can go on with: it knows them again by a hash of all that was read."""

import hashlib

from assay.annotate.windows import State
from assay.errors import InputError
from assay.inputs.files.lines import Lines
from assay.inputs.files.names import Compression

__all__ = ["ResumableLines"]

_CHUNK = 1 << 20


class ResumableLines(Lines):
    """The lines of an input, with its state after each of them."""

    def __init__(self, path: str, compression: Compression, blank: bytes) -> None:
        super().__init__(path, compression, blank)
        self._hash = hashlib.sha256()

    def next(self) -> bytes | None:
        line = super().next()
        if line is not None:
            self._hash.update(line)
        return line

    def state(self, rows: int) -> State:
        """Return where the input stands after `rows` rows."""
        return {
            "rows": rows,
            "lines": self.number,
            "bytes": self.bytes,
            "sha256": self._hash.hexdigest(),
            "position": self.position,
        }

    def skip_to(self, state: State) -> None:
        """Read on to `state`.

        Raises:
            InputError: The content up to there is not what it was.
        """
        left = int(state["bytes"]) - self.bytes
        while self._ahead:  # the header may have a blank line
            line = self._ahead.popleft()
            self._hash.update(line)
            left -= len(line)
        while left > 0 and (data := self._content.read(min(left, _CHUNK))):
            self._hash.update(data)
            left -= len(data)
        if left != 0 or self._hash.hexdigest() != state["sha256"]:
            raise InputError(
                f"{self.name}: changed within its first {state['bytes']:,} bytes, whose rows are already annotated; "
                "restore the file, or start over with --force"
            )
        self.bytes, self.number = int(state["bytes"]), int(state["lines"])
