"""The page's HTTP server, on the loopback interface.

A website that the user visits could send requests to this server, or point a name of its own at 127.0.0.1 (DNS
rebinding). So the Host header must be that of the page, the Origin header too where there is one, and a body must be
JSON, which a browser does not send to another origin without asking it first; no answer allows that.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from assay.demo.answering import Answering
from assay.errors import AssayError, InputError, one_line

__all__ = ["HOST", "MAX_BYTES", "Server", "listen"]

HOST = "127.0.0.1"
MAX_BYTES = 1_000_000
"""The largest body of a request."""

_SECONDS = 10  # that a client may be silent
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@contextlib.contextmanager
def listen(answering: Answering, port: int) -> Iterator["Server"]:
    """Yield a server that listens on `port`, or on any free port if it is 0. `serve_forever` serves.

    Raises:
        InputError: Another process listens there, or this user may not.
    """
    try:
        server = Server((HOST, port), _Handler)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"port {port} of {HOST} cannot be used ({one_line(error)}), expected a free one; choose another with "
            "--port, or leave it out to take any free port"
        ) from error
    server.answering = answering
    with server:
        yield server


class Server(ThreadingHTTPServer):
    """Answers each connection in a thread. Open connections do not delay its end."""

    daemon_threads = True
    block_on_close = False
    answering: Answering

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self.server_address[1])

    @property
    def names(self) -> tuple[str, ...]:
        """The values that the Host header of a request may have."""
        return f"{HOST}:{self.port}", f"localhost:{self.port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a client that went away, and show the traceback of anything else."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _RefusedError(Exception):
    """A request gets this status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _SECONDS
    server_version, sys_version = "assay", ""

    def do_GET(self) -> None:
        self._respond(self._get)

    def do_POST(self) -> None:
        self._respond(self._post)

    def log_message(self, *_: object) -> None:
        """Log nothing: what is typed stays in the browser."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send the errors that http.server finds itself in the form of all others."""
        self._send(code, *_dump({"error": message or explain or "the request cannot be read"}))

    def _respond(self, make: Any) -> None:
        try:
            self._check_source()
            status, (body, kind) = 200, make()
        except _RefusedError as error:
            status, (body, kind) = error.status, _dump({"error": str(error)})
        except AssayError as error:
            status, (body, kind) = 422, _dump({"error": one_line(error)})
        self._send(status, body, kind)

    def _check_source(self) -> None:
        """Refuse requests that do not come from the page itself, or from a program of this machine."""
        host, names = self.headers.get("Host"), self.server.names
        if host not in names:
            raise _RefusedError(403, f"the Host header is {host!r:.80}, expected {' or '.join(names)}")
        origin = self.headers.get("Origin")
        if origin is not None and origin not in [f"http://{name}" for name in names]:
            raise _RefusedError(403, f"the Origin header is {origin!r:.80}, expected http://{names[0]}")

    def _get(self) -> tuple[bytes, str]:
        if self.path == "/model":
            return _dump(self.server.answering.describe())
        if self.path not in _FILES:
            raise _RefusedError(404, "there is no such page, expected /")
        name, kind = _FILES[self.path]
        return files("assay.demo").joinpath(name).read_bytes(), kind

    def _post(self) -> tuple[bytes, str]:
        if self.path != "/answer":
            raise _RefusedError(404, "there is no such address, expected /answer")
        row = self._read_json()
        unknown = sorted(set(row) - {"text", "text_pair", "truncate"})
        if unknown:
            raise _RefusedError(400, f"found the field {unknown[0]!r:.80}, expected text, text_pair and truncate")
        return _dump(self.server.answering.answer(row.get("text"), row.get("text_pair"), row.get("truncate", False)))

    def _read_json(self) -> dict[str, Any]:
        """Return the body, a JSON object. A body that is too large is not read."""
        kind = self.headers.get_content_type()
        if kind != "application/json":
            raise _RefusedError(415, f"the body is {kind:.80}, expected application/json")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            raise _RefusedError(411, "the request does not say the length of its body, expected Content-Length")
        if len(length) > 12 or int(length) > MAX_BYTES:
            raise _RefusedError(413, f"the body has {length:.12} bytes, expected at most {MAX_BYTES:,}")
        try:
            value = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise _RefusedError(400, f"the body is no JSON ({one_line(error)}), expected an object") from error
        if not isinstance(value, dict):
            raise _RefusedError(400, "the body is no JSON object, expected one with text")
        return value

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (_HEADERS | {"Content-Type": kind, "Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _dump(value: dict[str, Any]) -> tuple[bytes, str]:
    """Return the body and its type. It has no "<", so that it is no HTML to a client that ignores the type."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c").encode(), "application/json"
