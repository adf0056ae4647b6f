"""The example service under more load than it can take, and at its end under load."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import assay
from assay import Classifier
from tests.conftest import held_out
from tests.examples.container.running import LONG, Service

ROWS = 16  # of a request: the model has more to do than HTTP
SENDERS = 12


class Requests:
    """Requests with different rows of the demo, and the answers of the bundle to them."""

    def __init__(self, bundle: Path) -> None:
        rows = held_out("pairs")
        model = assay.load(bundle, threads=1)
        assert isinstance(model, Classifier)
        answers = model.predict_batch([(row["text"], row["text_pair"]) for row in rows])
        pieces = range(0, len(rows) - ROWS + 1, ROWS)
        self._bodies: list[bytes] = []
        self._answers = [answers[start : start + ROWS] for start in pieces]
        for start in pieces:
            piece = [{key: row[key] for key in ("text", "text_pair")} for row in rows[start : start + ROWS]]
            self._bodies.append(json.dumps({"rows": piece}).encode())

    def send(self, service: Service, number: int) -> int:
        """Send request `number`, check an answer against the bundle's, and return the status."""
        which = number % len(self._bodies)
        answer = service.ask("POST", "/predict", self._bodies[which])
        if answer.status == 200:
            for found, expected in zip(answer.json["predictions"], self._answers[which], strict=True):
                assert found["label"] == expected.label
                assert found["scores"] == pytest.approx(expected.scores, abs=1e-5)
        elif answer.status == 429:
            assert answer.headers["retry-after"] == "1"
            assert "expected at most 64 together (max_queue)" in answer.json["error"]
        return answer.status


@pytest.fixture(scope="module")
def requests(pair_bundle: Path) -> Requests:
    return Requests(pair_bundle)


@pytest.fixture
def service(pair_bundle: Path) -> Iterator[Service]:
    with Service(pair_bundle, MAX_QUEUE=4 * ROWS, DRAIN=1, TIMEOUT=30) as service:
        yield service.wait_until_ready()


def in_threads(count: int, work: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def send_for(seconds: float, rate: float, senders: int, send: Callable[[int], int]) -> Counter[Any]:
    """Send requests at a constant rate per second, or as fast as answers come; count statuses and errors."""
    outcomes: list[Any] = []
    numbers = itertools.count()
    start = time.monotonic()

    def work() -> None:
        while True:
            number = next(numbers)
            due = start + number / rate
            if due > start + seconds or time.monotonic() > start + seconds:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                outcomes.append(send(number))
            except BaseException as error:
                outcomes.append(repr(error))

    for thread in in_threads(senders, work):
        thread.join(LONG)
    return Counter(outcomes)


def test_twice_its_capacity_is_answered_or_refused_and_nothing_else_suffers(
    service: Service, requests: Requests
) -> None:
    seconds = 1.5
    outcomes = send_for(seconds, 1e9, 4, lambda number: requests.send(service, number))
    assert set(outcomes) == {200}
    capacity = outcomes[200] / seconds
    memory = psutil.Process(service.process.pid).memory_info().rss

    over = threading.Event()
    health: list[tuple[int, float]] = []  # status and seconds

    def watch() -> None:
        while not over.wait(0.05):
            begin = time.monotonic()
            health.append((service.ask("GET", "/health").status, time.monotonic() - begin))

    (watcher,) = in_threads(1, watch)
    outcomes = send_for(seconds, 2 * capacity, SENDERS, lambda number: requests.send(service, number))
    over.set()
    watcher.join(LONG)
    assert set(outcomes) == {200, 429}
    assert len(health) >= 3
    assert {status for status, _ in health} == {200}
    assert max(seconds for _, seconds in health) < 2
    assert psutil.Process(service.process.pid).memory_info().rss < memory + 50e6
    assert requests.send(service, 0) == 200


def test_sigterm_under_load_loses_nothing_that_was_accepted(service: Service, requests: Requests) -> None:
    outcomes: list[Any] = []
    begun = threading.Event()

    def work() -> None:
        for number in itertools.count():
            try:
                outcomes.append(requests.send(service, number))
            except BaseException as error:
                outcomes.append(repr(error))
            if outcomes.count(200) >= 8:
                begun.set()
            if outcomes[-1] not in (200, 429) or outcomes.count(503) >= 1:
                return

    threads = in_threads(SENDERS, work)
    assert begun.wait(LONG)
    code = service.end()
    for thread in threads:
        thread.join(LONG)
    assert code == 0
    assert set(outcomes) <= {200, 429, 503}
    assert 503 in outcomes
    log = "".join(service.log)
    assert log.count("POST /predict 200") == outcomes.count(200)
    assert "Cancel" not in log


def test_while_draining_the_service_is_alive_and_not_ready(service: Service) -> None:
    service.process.terminate()
    service.wait_for_log("(draining): ")
    assert service.ask("GET", "/health").status == 200
    for method, path in (("GET", "/ready"), ("POST", "/predict")):
        answer = service.ask(method, path, {"rows": [{"text": "a", "text_pair": "b"}]})
        assert answer.status == 503
        assert answer.headers["connection"] == "close"
        assert "is ending" in answer.json["error"]
    assert service.process.wait(LONG) == 0


def test_a_second_sigterm_does_not_wait(pair_bundle: Path) -> None:
    with Service(pair_bundle, DRAIN=600) as service:
        service.wait_until_ready().process.terminate()
        service.wait_for_log("(draining): ")
        assert service.end() == 0
