"""A server on 127.0.0.1 with the part of the Hub's API that huggingface_hub needs for downloads and for commits.

It answers like the real Hub: large files are redirected to another address (the Hub's CDN) with the headers
X-Linked-Etag and X-Linked-Size, errors have X-Error-Code, ranges are served, and without a login an unknown model is a
401. Tests add models, and then break the server through its attributes.
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import unquote

import huggingface_hub
import huggingface_hub.constants
import huggingface_hub.file_download
import pytest

LARGE = (".safetensors", ".onnx", "_data")  # files that the real Hub keeps outside git

_INFO = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)(/revision/(?P<revision>.+))?")
_TREE = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")
_FILE = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_COMMIT = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)/commit/(?P<revision>[^/]+)")
_PREUPLOAD = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)/preupload/(?P<revision>[^/]+)")
_LFS = re.compile(r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
_BLOB = re.compile(r"/cdn/(?P<digest>[0-9a-f]{64})")


@dataclass
class Model:
    """A model on the Hub: the files of each commit, and the branches and tags that name commits."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit with `files`, point `branch` to it, and return its id."""
        listing = json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in files.items()}, sort_keys=True)
        identity = hashlib.sha1(f"{len(self.commits)} {listing}".encode()).hexdigest()
        self.commits[identity] = files
        self.refs[branch] = identity
        return identity


@dataclass(frozen=True)
class Request:
    """One request. `start` is the beginning of its range.

    `file` is the path in the model, also for a request to the CDN, and "" if no file was requested.
    """

    method: str
    path: str
    file: str
    start: int


class Hub:
    """The server's state. `url` is the value for HF_ENDPOINT; `requests` lists the requests, oldest first."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        self.requests: list[Request] = []
        self.cuts: dict[str, list[int]] = {}  # file -> after how many bytes each of its next answers breaks off
        self.status: int | None = None  # every answer is this error
        self.page: bytes | None = None  # every answer is this page, as those of a hotel's network
        self.moves: dict[str, Any] = {}  # file -> called after a request for it, to move a branch between two files
        self.read_only = False  # the credentials may not write
        self.uploads: dict[str, bytes] = {}  # what was put into the storage for large files, by its hash
        self.commits: list[dict[str, Any]] = []  # the headers of the commits that were made, and their branch
        self.pauses: list[float] = []  # seconds that the client would have slept
        self.lock = Lock()
        self.connections: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{port}"
        self.cdn = f"http://localhost:{port}"  # another host, so that huggingface_hub sees another server

    def add(self, name: str, folder: Path) -> str:
        """Upload a folder as the next commit of the model `name`. Gives the commit's id."""
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return self.models.setdefault(name, Model()).commit(files)

    def files(self, method: str = "GET") -> list[str]:
        """The files requested with `method`, in the order of the requests, each once."""
        return list(
            dict.fromkeys(request.file for request in self.requests if request.method == method and request.file)
        )

    def ranges(self, file: str) -> list[int]:
        """Where the answers for the bytes of `file` began."""
        return [request.start for request in self.requests if request.method == "GET" and request.file == file]

    def forget(self) -> None:
        """Empty the list of requests."""
        self.requests.clear()

    def start(self) -> None:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Go away: from now on connections are refused."""
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self.connections):  # kept alive by who asked before
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked may go away in the middle of an answer; anything else is a defect of this server, and printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
    """Start a Hub without models."""
    hub = Hub()
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


def ask(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point this process's huggingface_hub at the server, with an empty cache in `folder`, no token and no pauses.

    huggingface_hub reads its variables once, when it is imported. Returns the cache.
    """
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(folder / "cache"),
        "HF_TOKEN_PATH": str(folder / "no token"),
        "HF_HUB_OFFLINE": False,
        "DOWNLOAD_CHUNK_SIZE": 64,
    }.items():
        for module in (huggingface_hub.constants, huggingface_hub.file_download):
            if hasattr(module, name):  # file_download imports some by name
                monkeypatch.setattr(module, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(time, "sleep", hub.pauses.append)
    return folder / "cache"


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or a body waits 40 ms for the acknowledgement of its headers

        def setup(self) -> None:
            super().setup()
            hub.connections.add(self.connection)

        def finish(self) -> None:
            hub.connections.discard(self.connection)
            super().finish()

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            hub.uploads[self.path.rpartition("/")[2]] = data
            self._json({})

        def do_POST(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if hub.status is not None:
                return self._refuse(hub.status, "", "the server is unwell")
            if "authorization" not in {key.lower() for key in self.headers}:
                return self._refuse(401, "", "Invalid username or password.")
            if hub.read_only:
                return self._refuse(403, "", "Forbidden: you do not have the rights to write")
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked.get('organization')}/{asked['name']}"
                exists = name in hub.models
                if not exists:
                    hub.models[name] = Model(private=bool(asked.get("private")))
                    hub.models[name].commit({})
                return self._json({"url": f"{hub.url}/{name}", "id": "0", "name": name}, 409 if exists else 200)
            if path == "/api/validate-yaml":  # of a model card
                return self._json({"errors": [], "warnings": []})
            if _LFS.fullmatch(path):
                objects = json.loads(body)["objects"]
                made = [
                    one | {"actions": {"upload": {"href": f"{hub.cdn}/put/{one['oid']}", "header": {}}}}
                    for one in objects
                ]
                return self._json({"transfer": "basic", "objects": made})
            found = _PREUPLOAD.fullmatch(path) or _COMMIT.fullmatch(path)
            if found is None:
                return self._refuse(404, "", f"no such address: {path}")
            if found["name"] not in hub.models:
                return self._refuse(404, "RepoNotFound", "Repository not found")
            if found.re is _PREUPLOAD:
                modes = {True: "lfs", False: "regular"}
                names = [file["path"] for file in json.loads(body)["files"]]
                files = [{"path": name, "uploadMode": modes[name.endswith(LARGE)]} for name in names]
                return self._json({"files": [file | {"shouldIgnore": False, "oid": None} for file in files]})
            return self._commit(hub.models[found["name"]], found["name"], body, "create_pr=1" in query)

        def _commit(self, model: Model, name: str, body: bytes, as_request: bool) -> None:
            lines = [json.loads(line) for line in body.decode().splitlines()]
            files = dict(model.commits[model.refs["main"]])
            for line in lines:
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = hub.uploads[value["oid"]]
            branch = "refs/pr/1" if as_request else "main"
            hub.commits.append(lines[0]["value"] | {"branch": branch})
            commit = model.commit(files, branch)
            answer = {"success": True, "commitOid": commit, "commitUrl": f"{hub.url}/{name}/commit/{commit}"}
            self._json(answer | ({"pullRequestUrl": f"{hub.url}/{name}/discussions/1"} if as_request else {}))

        def _answer(self) -> None:
            path = self.path.split("?")[0]
            if hub.status is not None:
                return self._refuse(hub.status, "", "the server is unwell")
            if hub.page is not None:
                return self._send("", hub.page, {"Content-Type": "text/html"})
            if found := _BLOB.fullmatch(path):
                return self._blob(found["digest"])
            if found := _FILE.fullmatch(path):
                return self._file(found["name"], unquote(found["revision"]), unquote(found["file"]))
            if found := _TREE.fullmatch(path):
                return self._tree(found["name"], unquote(found["revision"]))
            if found := _INFO.fullmatch(path):
                return self._info(found["name"], unquote(found["revision"] or "main"))
            return self._refuse(404, "", f"no such address: {path}")

        def _files(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
            """The commit and its files, or None where the answer was an error."""
            model = hub.models.get(name)
            authorised = "authorization" in {key.lower() for key in self.headers}
            if model is None:
                # Without a login the Hub does not tell private from absent models.
                status, code = (404, "RepoNotFound") if authorised else (401, "")
                self._refuse(status, code, "Repository not found" if authorised else "Invalid username or password.")
            elif model.gated:
                self._refuse(403 if authorised else 401, "GatedRepo", f"Access to model {name} is restricted.")
            elif (commit := model.refs.get(revision, revision)) not in model.commits:
                self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            else:
                return commit, model.commits[commit]
            return None

        def _info(self, name: str, revision: str) -> None:
            self._note("")
            if found := self._files(name, revision):
                commit, files = found
                siblings = [{"rfilename": file} for file in sorted(files)]
                self._json({"_id": "0", "id": name, "modelId": name, "sha": commit, "siblings": siblings})

        def _tree(self, name: str, revision: str) -> None:
            self._note("")
            if found := self._files(name, revision):
                self._json(
                    [
                        {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                        for file, data in sorted(found[1].items())
                    ]
                )

        def _file(self, name: str, revision: str, file: str) -> None:
            self._note(file)
            found = self._files(name, revision)
            if found is None:
                return None
            commit, files = found
            if move := hub.moves.pop(file, None):
                move()
            if file not in files:
                return self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
            data = files[file]
            digest = hashlib.sha256(data).hexdigest()
            if not file.endswith(LARGE):
                return self._send(file, data, {"X-Repo-Commit": commit, "ETag": f'"{digest[:40]}"'})
            self.send_response(302)
            for key, value in {
                "X-Repo-Commit": commit,
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(len(data)),
                "Location": f"{hub.cdn}/cdn/{digest}",
                "Content-Length": "0",
            }.items():
                self.send_header(key, value)
            self.end_headers()
            return None

        def _blob(self, digest: str) -> None:
            for model in list(hub.models.values()):
                for files in list(model.commits.values()):
                    for file, data in files.items():
                        if file.endswith(LARGE) and hashlib.sha256(data).hexdigest() == digest:
                            self._note(file)
                            return self._send(file, data, {"ETag": f'"{digest}"'})
            return self._refuse(404, "", "no such blob")

        def _note(self, file: str) -> None:
            start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            with hub.lock:
                hub.requests.append(Request(self.command, unquote(self.path), file, int(start[1]) if start else 0))

        def _send(self, file: str, data: bytes, headers: dict[str, str]) -> None:
            start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            first = int(start[1]) if start else 0
            if first > len(data):
                return self._refuse(416, "", "Range Not Satisfiable")
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            for key, value in (headers | {"Accept-Ranges": "bytes"}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data) - first))
            self.end_headers()
            if self.command == "HEAD":
                return None
            with hub.lock:
                cuts = hub.cuts.get(file)
                cut = cuts.pop(0) if cuts else None
            self.wfile.write(data[first:] if cut is None else data[first : first + cut])
            if cut is not None:
                self.close_connection = True
            return None

        def _json(self, value: object, status: int = 200) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _refuse(self, status: int, code: str, message: str, more: dict[str, str] | None = None) -> None:
            data = b"" if self.command == "HEAD" else json.dumps({"error": message}).encode()
            self.send_response(status)
            headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(more or {})}
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
