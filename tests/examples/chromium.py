"""Runs the page of examples/browser in headless Chromium, served by a server that waits for drive.html's report."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["drive", "find"]

DRIVER = Path(__file__).with_name("drive.html")
SECONDS = 120


def find() -> str | None:
    """Return the path of a Chromium browser, if this machine has one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def drive(browser: str, site: Path, work: Mapping[str, Any], profile: Path) -> dict[str, Any]:
    """Do `work` with the page in `site`, and return the report: see drive.html.

    Only the server of the site can be reached, so a page that needs the network fails.
    """
    shutil.copy(DRIVER, site)
    (site / "work.json").write_text(json.dumps(work), encoding="utf-8")
    with _serve(site) as server:
        # Chromium's sandbox needs a user who is not root, or kernel features that containers lack. The page is ours.
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        command += [f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        command += ["--remote-debugging-port=0", f"http://127.0.0.1:{server.server_port}/{DRIVER.name}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                assert server.reported.wait(SECONDS), f"no report in {SECONDS} s; the server's log: {server.messages}"
            finally:
                process.terminate()
    assert "error" not in server.report, server.report["error"]
    return server.report


class _Server(ThreadingHTTPServer):
    def __init__(self, site: Path) -> None:
        self.report: dict[str, Any] = {}
        self.reported = threading.Event()
        self.messages: list[str] = []
        super().__init__(("127.0.0.1", 0), lambda *arguments: _Handler(*arguments, directory=str(site)))


class _Handler(SimpleHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        self.server.report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.reported.set()

    def log_message(self, format: str, *values: Any) -> None:
        self.server.messages.append(format % values)


@contextmanager
def _serve(site: Path) -> Iterator[_Server]:
    with _Server(site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
