"""An HTTP service for one bundle: POST /predict or /score, GET /health, /ready and /metrics.

    pip install fastapi uvicorn prometheus-client
    ASSAY_BUNDLE=bundles/pair-classifier python examples/container/service.py

docs/guide/service.md has the settings, the status codes and what happens at SIGTERM.
"""

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel, Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import assay


def read_number(name: str, default: int) -> int:
    """Return the setting `name`, an integer of at least 0. Exits with one line if it is anything else."""
    word = os.environ.get(name, str(default))
    if not (word.isascii() and word.isdigit()):
        sys.exit(f"{name} is {word!r}, expected an integer of at least 0")
    return int(word)


BUNDLE = os.environ.get("ASSAY_BUNDLE", "/bundle")
VARIANT = os.environ.get("ASSAY_VARIANT", "auto")
THREADS = read_number("ASSAY_THREADS", 0) or None
HOST = os.environ.get("ASSAY_HOST", "127.0.0.1")
PORT = read_number("ASSAY_PORT", 8000)
MAX_QUEUE = read_number("ASSAY_MAX_QUEUE", 128)  # rows that wait or run
MAX_ROWS = read_number("ASSAY_MAX_ROWS", 32)  # of one request
MAX_CHARACTERS = read_number("ASSAY_MAX_CHARACTERS", 50_000)  # of one text
MAX_BYTES = read_number("ASSAY_MAX_BYTES", 1_000_000)  # of a request's body
TIMEOUT = read_number("ASSAY_TIMEOUT", 5)  # seconds for an answer
DRAIN = read_number("ASSAY_DRAIN", 3)  # seconds between SIGTERM and the end of listening

LOG = logging.getLogger("service")
PATHS = ("/predict", "/score", "/health", "/ready", "/metrics")
# Once the model is ready, a BundleError is about the request: a scale that this bundle does not have.
STATUS = {
    assay.OverloadedError: 429,
    assay.DeadlineError: 504,
    assay.InputError: 422,
    assay.BundleError: 422,
    assay.AssayError: 500,
}
RETRY = {"Retry-After": "1"}  # seconds

REQUESTS = Counter("assay_requests", "Requests by path and status.", ["path", "status"])
SECONDS = Histogram("assay_request_seconds", "Time from a request's headers to its answer.", ["path"])
request_id: ContextVar[str] = ContextVar("request_id", default="-")

Text = Annotated[str, Field(max_length=MAX_CHARACTERS)]


class Row(BaseModel, extra="forbid"):
    """One text, or a pair."""

    text: Text
    text_pair: Text | None = None


class PredictRequest(BaseModel, extra="forbid"):
    rows: Annotated[list[Row], Field(min_length=1, max_length=MAX_ROWS)]
    truncate: bool = False


class ScoreRequest(PredictRequest):
    scale: tuple[float, float] | None = None


class PredictResponse(BaseModel):
    predictions: list[assay.Prediction]


class ScoreResponse(BaseModel):
    scores: list[float]


class State:
    """The model once it is ready, and until then why it is not."""

    model: assay.aio.AsyncClassifier | assay.aio.AsyncScorer | None = None
    problem = "the bundle is being loaded and checked, expected it to be ready soon; retry later"
    draining = False


async def prepare() -> None:
    """Load the bundle and compare it with PyTorch on its golden rows, which also warms the model up."""
    try:
        model = await asyncio.to_thread(assay.load, BUNDLE, variant=VARIANT, threads=THREADS)
        report = await asyncio.to_thread(model.verify)
        State.model = assay.aio.wrap(model, max_queue=MAX_QUEUE)
    except Exception as error:
        State.problem = " ".join(str(error).split())
        LOG.error("not ready: %s", State.problem, exc_info=not isinstance(error, assay.AssayError))
    else:
        LOG.info("ready: %s, %s, golden rows: %s", BUNDLE, model.info["variant"], report)


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    preparing = asyncio.create_task(prepare())  # meanwhile /health answers
    yield
    await preparing
    if State.model is not None:
        await State.model.aclose()


app = FastAPI(title="Assay", lifespan=lifespan)


def require_model() -> assay.aio.AsyncClassifier | assay.aio.AsyncScorer:
    if State.draining:
        raise HTTPException(503, "this process is ending and takes no more requests; send it to another one", RETRY)
    if State.model is None:
        raise HTTPException(503, State.problem, RETRY)
    return State.model


def read_rows(request: PredictRequest) -> list[str | tuple[str, str]]:
    return [row.text if row.text_pair is None else (row.text, row.text_pair) for row in request.rows]


@app.post("/predict")
async def predict(request: PredictRequest) -> PredictResponse:
    model = require_model()
    if not isinstance(model, assay.aio.AsyncClassifier):
        raise HTTPException(404, "found a regression bundle, expected a classification bundle; use /score")
    answers = await model.predict_batch(read_rows(request), truncate=request.truncate, timeout=TIMEOUT)
    return PredictResponse(predictions=answers)


@app.post("/score")
async def score(request: ScoreRequest) -> ScoreResponse:
    model = require_model()
    if not isinstance(model, assay.aio.AsyncScorer):
        raise HTTPException(404, "found a classification bundle, expected a regression bundle; use /predict")
    rows = read_rows(request)
    scores = await model.score_batch(rows, scale=request.scale, truncate=request.truncate, timeout=TIMEOUT)
    return ScoreResponse(scores=scores.tolist())


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "alive"}


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready", "variant": require_model().info["variant"]}


@app.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@app.exception_handler(assay.AssayError)
async def answer_error(_: Request, error: assay.AssayError) -> JSONResponse:
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    if status == 500:
        LOG.error("%s", error)
    return JSONResponse({"error": str(error)}, status, RETRY if status == 429 else None)


@app.exception_handler(RequestValidationError)
async def answer_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return JSONResponse({"error": f"{where}: {first['msg']}"}, 400 if first["type"] == "json_invalid" else 422)


@app.exception_handler(HTTPException)
async def answer_http(_: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


class Queue(Collector):
    """The counters of the queue, read when Prometheus asks."""

    def collect(self) -> Iterator[Metric]:
        if State.model is None:
            return
        stats = State.model.stats
        yield GaugeMetricFamily("assay_queue_rows", "Rows that wait or run.", stats.waiting + stats.running)
        rows = CounterMetricFamily("assay_rows", "Rows by outcome.", labels=["outcome"])
        for outcome in ("answered", "refused", "failed", "expired", "cancelled"):
            rows.add_metric([outcome], getattr(stats, outcome))
        yield rows
        yield CounterMetricFamily("assay_batches", "Batches that the model began.", stats.batches)
        yield CounterMetricFamily("assay_batch_rows", "Rows in these batches.", stats.rows)


class Observer:
    """Gives every request an id, counts, times and logs it, and refuses a body that is too large."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id.set(asked if re.fullmatch(r"[\w.-]{1,64}", asked, re.ASCII) else uuid.uuid4().hex)
        start, status, size = time.perf_counter(), 500, 0

        async def receive_limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BYTES:
                raise HTTPException(413, f"the body has more than {MAX_BYTES:,} bytes; send fewer or shorter rows")
            return message

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id.get()
                if State.draining or size > MAX_BYTES:
                    headers["Connection"] = "close"
            await send(message)

        try:
            await self.app(scope, receive_limited, send_observed)
        finally:
            seconds = time.perf_counter() - start
            path = scope["path"] if scope["path"] in PATHS else "other"
            REQUESTS.labels(path, status).inc()
            SECONDS.labels(path).observe(seconds)
            LOG.info("%s %s %d %.1f ms", scope["method"], path, status, 1000 * seconds)


class Server(uvicorn.Server):
    """uvicorn, except that SIGTERM is followed by a time in which new requests get 503. Exits with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.drain)
        yield

    def drain(self) -> None:
        LOG.info("draining: new requests get 503, and listening ends in %d s", DRAIN)
        wait = 0 if State.draining else DRAIN  # a second signal does not wait
        State.draining = True
        asyncio.get_running_loop().call_later(wait, setattr, self, "should_exit", True)


def add_request_id(record: logging.LogRecord) -> bool:
    record.request = request_id.get()
    return True


def main() -> None:
    handler = logging.StreamHandler()
    handler.addFilter(add_request_id)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s request=%(request)s %(message)s", level="INFO", handlers=[handler]
    )
    REGISTRY.register(Queue())
    app.add_middleware(Observer)
    # Each accepted request ends within TIMEOUT; one second more is for a client that reads slowly.
    options = uvicorn.Config(
        app, HOST, PORT, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=TIMEOUT + 1
    )
    Server(options).run()
    LOG.info("ended")


if __name__ == "__main__":
    main()
