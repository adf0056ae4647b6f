"""The page's server: what it answers, and what it refuses."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import pytest

import assay
from assay import Classifier, Scorer
from assay.demo import server as module
from assay.demo.answering import Answering
from assay.demo.server import MAX_BYTES, Server, listen
from tests.runtime import tiny

PAIR = {"text": "what causes rain", "text_pair": "rain forms"}


def serve(model: Classifier | Scorer) -> Iterator[Server]:
    with listen(Answering(model), 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture(scope="module")
def pairs(judge: Classifier) -> Iterator[Server]:
    yield from serve(judge)


@pytest.fixture(scope="module")
def scores(scorer: Scorer) -> Iterator[Server]:
    yield from serve(scorer)


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str | None] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Send a request. A header that is None is left out."""
    every: dict[str, str | None] = {"Host": f"127.0.0.1:{server.port}"}
    if body is not None:
        every |= {"Content-Length": str(len(body)), "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in (every | dict(headers or {})).items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    answer = response.status, response.headers, response.read()
    connection.close()
    return answer


def post(server: Server, row: object) -> tuple[int, Any]:
    status, _, body = ask(server, "POST", "/answer", json.dumps(row).encode())
    return status, json.loads(body)


def test_an_answer_has_the_label_the_probabilities_the_tokens_and_the_times(pairs: Server, judge: Classifier) -> None:
    status, answer = post(pairs, PAIR)
    prediction = judge.predict(*PAIR.values())
    assert status == 200
    assert (answer["label"], answer["scores"]) == (prediction.label, prediction.scores)
    words = ["[CLS]", "what", "causes", "rain", "[SEP]", "rain", "forms", "[SEP]"]
    assert [token["token"] for token in answer["tokens"]] == words
    assert [token["id"] for token in answer["tokens"]] == [tiny.WORDS.index(word) for word in words]
    assert [token["second"] for token in answer["tokens"]] == [False] * 5 + [True] * 3
    assert all(value > 0 for value in answer["milliseconds"].values())


def test_a_score_is_that_of_the_model(scores: Server, scorer: Scorer) -> None:
    status, answer = post(scores, {"text": "what causes rain"})
    assert (status, answer["score"]) == (200, scorer.score("what causes rain"))
    assert "label" not in answer


def test_a_text_that_is_too_long_is_refused_or_cut_as_asked(scores: Server) -> None:
    status, answer = post(scores, {"text": "a " * 30})
    assert status == 422
    assert "32 tokens, the model reads 16" in answer["error"]
    status, answer = post(scores, {"text": "a " * 30, "truncate": True})
    assert (status, len(answer["tokens"])) == (200, 16)


def test_the_model_is_described(pairs: Server, scores: Server) -> None:
    described = json.loads(ask(pairs, "GET", "/model")[2])
    assert (described["input"], described["labels"]) == ("pair", list(tiny.LABELS))
    assert (described["max_length"], described["refuses_long"]) == (16, False)
    assert json.loads(ask(scores, "GET", "/model")[2])["refuses_long"]


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css"])
def test_the_page_is_served_with_a_policy_that_runs_only_its_own_script(path: str, pairs: Server) -> None:
    status, headers, body = ask(pairs, "GET", path)
    assert status == 200
    assert body == files("assay.demo").joinpath(path.strip("/") or "page.html").read_bytes()
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Access-Control-Allow-Origin"] is None


def test_html_that_is_typed_comes_back_as_json_and_is_shown_as_text(pairs: Server) -> None:
    evil = "<img src=x onerror=alert(1)>"
    status, headers, body = ask(pairs, "POST", "/answer", json.dumps({evil: "a"}).encode())
    assert (status, headers["Content-Type"]) == (400, "application/json")
    assert evil in json.loads(body)["error"]
    assert b"<" not in body
    page, script = (files("assay.demo").joinpath(name).read_text() for name in ("page.html", "page.js"))
    # The policy allows no script in the page, and the script only writes text.
    assert "<script>" not in page
    assert " onclick" not in page
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in script


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", None])
def test_another_host_name_is_refused(host: str | None, method: str, pairs: Server) -> None:
    headers = {"Host": None if host is None else host.format(port=pairs.port)}
    body = json.dumps(PAIR).encode() if method == "POST" else None
    status, _, answer = ask(pairs, method, "/answer" if body else "/model", body, headers)
    assert status == 403
    assert "the Host header is" in json.loads(answer)["error"]


def test_localhost_is_a_name_of_the_page(pairs: Server) -> None:
    name = f"localhost:{pairs.port}"
    headers = {"Host": name, "Origin": f"http://{name}"}
    assert ask(pairs, "POST", "/answer", json.dumps(PAIR).encode(), headers)[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "https://127.0.0.1:{port}", ""])
def test_another_origin_is_refused(origin: str, pairs: Server) -> None:
    headers = {"Origin": origin.format(port=pairs.port)}
    status, answered, body = ask(pairs, "POST", "/answer", json.dumps(PAIR).encode(), headers)
    assert status == 403
    assert "the Origin header is" in json.loads(body)["error"]
    assert answered["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"{}", {"Content-Type": "text/plain"}, 415, "expected application/json"),
        (b"{}", {"Content-Type": None}, 415, "expected application/json"),
        (b"{}", {"Content-Length": None}, 411, "expected Content-Length"),
        (b"{}", {"Content-Length": "-1"}, 411, "expected Content-Length"),
        (b"{}", {"Transfer-Encoding": "chunked"}, 411, "expected Content-Length"),
        (b"", {"Content-Length": str(MAX_BYTES + 1)}, 413, "expected at most 1,000,000"),
        (b"", {"Content-Length": "9" * 5_000}, 413, "expected at most 1,000,000"),
        (b"{", {}, 400, "no JSON"),
        (b"\xff", {}, 400, "no JSON"),
        (b"[" * 100_000, {}, 400, "no JSON"),
        (b"[]", {}, 400, "no JSON object"),
        (b'{"text": "a", "text_pair": "b", "x": 1}', {}, 400, "found the field 'x'"),
        (b"{}", {}, 422, "text is None and text_pair is missing"),
        (b'{"text": "a", "text_pair": 1}', {}, 422, "text_pair: found the int 1"),
        (b'{"text": "\\ud800", "text_pair": "b"}', {}, 422, "lone surrogate"),
        (b'{"text": "nan", "text_pair": "b"}', {}, 422, "the text has the logits"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    body: bytes, headers: dict[str, str | None], status: int, message: str, pairs: Server
) -> None:
    found, _, answer = ask(pairs, "POST", "/answer", body, headers)
    error = json.loads(answer)["error"]
    assert found == status
    assert message in error
    assert "\n" not in error


def test_unknown_addresses_and_methods_are_refused_as_json(pairs: Server) -> None:
    for method, path, status in (("GET", "/../server.py", 404), ("POST", "/", 404), ("PUT", "/answer", 501)):
        found, _, body = ask(pairs, method, path, b"{}")
        assert found == status
        assert json.loads(body)["error"]


def test_what_is_no_http_is_refused(pairs: Server) -> None:
    with socket.create_connection(("127.0.0.1", pairs.port), timeout=30) as connection:
        connection.sendall(b"<script>\r\n\r\n")
        answer = connection.recv(10_000)
    assert b"Bad request syntax" in answer
    assert b"<" not in answer
    assert post(pairs, PAIR)[0] == 200


def test_a_silent_client_does_not_hold_up_others(pairs: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", pairs.port), timeout=30) as silent:
        assert post(pairs, PAIR)[0] == 200
        assert silent.recv(1) == b""  # closed after the timeout


def test_a_port_that_is_in_use_is_refused(pairs: Server, judge: Classifier) -> None:
    with (
        pytest.raises(assay.InputError, match=f"port {pairs.port} of 127.0.0.1 cannot be used .*in use"),
        listen(Answering(judge), pairs.port),
    ):
        pass


def test_it_listens_on_this_machine_only(pairs: Server) -> None:
    assert pairs.server_address[0] == "127.0.0.1"
