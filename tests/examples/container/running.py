"""Runs the example service as a process of its own, and asks it over HTTP."""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent.parent.parent
FOLDER = ROOT / "examples/container"
SERVICE = FOLDER / "service.py"
LONG = 60.0  # seconds that no step takes


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """The service on a free port, with `settings` as environment variables. Ends with the `with` block."""

    def __init__(self, bundle: Path, *, command: Sequence[str] = (str(SERVICE),), **settings: object) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
        environment |= {"ASSAY_BUNDLE": str(bundle), "ASSAY_PORT": "0", "ASSAY_THREADS": "1", "ASSAY_DRAIN": "0"}
        environment |= {f"ASSAY_{name}": str(value) for name, value in settings.items()}
        self.process = subprocess.Popen(
            [sys.executable, *command], env=environment, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.port = int(self.wait_for_log(r"Uvicorn running on http://127\.0\.0\.1:(\d+)"))

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request on a connection of its own. A body that is not bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG)
        try:
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def wait_until_ready(self) -> Self:
        self.wait_for_log(r"service request=- (ready): ")
        assert self.ask("GET", "/ready").status == 200
        return self

    def wait_for_log(self, pattern: str) -> str:
        """Return the first group of the first match of `pattern` in the log, once there is one."""
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            if found := re.search(pattern, "".join(self.log)):
                return found[1]
            assert self._reader.is_alive(), f"the service ended: {''.join(self.log)}"
            time.sleep(0.01)
        raise AssertionError(f"no {pattern} in the log: {''.join(self.log)}")

    def end(self) -> int:
        """Ask the service to end, wait, and return its exit code."""
        self.process.terminate()
        code = self.process.wait(LONG)
        self._reader.join(LONG)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(LONG)
        self._reader.join(LONG)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self.log.extend(lines)
