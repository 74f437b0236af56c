"""A page that shows a training while it goes on, and the small server behind it.

GET /          the page; its parts are under /static
GET /progress  server-sent events (HTML Living Standard, 9.2): one an epoch, those gone by first

The server runs in a thread of its own and only reads what has been published, so training neither
waits for a page nor notices when one is closed.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...ops.softmax import softmax
from ..data.dataset import Array, Dataset
from ..extras import extra
from ..model import kinds
from ..model.mlp import Params
from ..training.loop import Epoch
from ..training.recipe import Config
from .pace import Pace
from .serve import LOOPBACK, Guard, address, listening, make_file_route, server

with extra("serve"):
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

FILES = {
    "/": ("watch.html", "text/html"),
    "/static/watch.js": ("watch.js", "text/javascript"),
    "/static/style.css": ("style.css", "text/css"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}
UNITS, MISTAKES = 32, 12
"""How many first-layer units, and how many mistakes, an event tells of."""
PAUSE = 0.1
"""Seconds between two looks for something new."""


class Board:
    """What has been published of a training: events, the newest last."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.closed = False

    def publish(self, event: dict[str, Any]) -> None:
        """Add what JSON can hold; numbers that are not finite are null."""
        self.events.append(json.dumps(_finite(event), allow_nan=False))


def describe_epoch(params: Params, dataset: Dataset) -> dict[str, Any]:
    """The first layer's weights, and the worst mistakes on a dataset: those it was surest of.

    >>> from tinygrad_digits.digits.model import mlp
    >>> found = describe_epoch(mlp.init_params(), Dataset(np.eye(64)[:20], np.arange(20) % 10))
    >>> len(found["weights"]), len(found["mistakes"]) <= MISTAKES
    (32, True)
    """
    shares = softmax(kinds.logits_in_parts(params, dataset.images))
    read = shares.argmax(axis=1)
    wrong = np.flatnonzero(read != dataset.labels)
    worst = wrong[np.argsort(-shares[wrong, read[wrong]], kind="stable")][:MISTAKES]
    return {
        "weights": _scale(kinds.first_layer(params)[:UNITS]),
        "mistakes": [
            {
                "image": _scale(dataset.images[row : row + 1])[0],
                "label": int(dataset.labels[row]),
                "read": int(read[row]),
                "share": round(float(shares[row, read[row]]), 4),
            }
            for row in worst
        ],
    }


def make_publisher(
    board: Board, config: Config, dataset: Dataset, images: int
) -> Callable[[Epoch], None]:
    """What puts each epoch over so many images on a board, but for the start."""
    pace = Pace(config.epochs, images)
    constant = {"epochs": config.epochs, "shape": config.shape, "classes": config.classes}

    def publish(record: Epoch) -> None:
        pace.follow(record.epoch)
        if not record.epoch:
            return
        board.publish(
            {
                "epoch": record.epoch,
                **constant,
                "loss": {"train": record.train_loss, "validation": record.validation_loss},
                "accuracy": {
                    "train": record.train_accuracy,
                    "validation": record.validation_accuracy,
                },
                "images_per_second": pace.images_per_second,
                "seconds_left": pace.seconds_left,
                **describe_epoch(record.params, dataset),
            }
        )

    return publish


@contextmanager
def watching(port: int = 0) -> Iterator[tuple[Board, str]]:
    """A board and the address of its page, for as long as the block lasts.

    Raises OSError where the port is taken.
    """
    board = Board()
    with listening(LOOPBACK[0], port) as listener:
        serving = server(application(board))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield board, address(listener)
        finally:
            board.closed = True
            serving.should_exit = True
            thread.join(timeout=5)


def application(board: Board) -> Starlette:
    """The page and the events of one board."""

    async def progress(request: Request) -> StreamingResponse:
        return StreamingResponse(_stream(board, request), media_type="text/event-stream")

    return Starlette(
        routes=[*(make_file_route(path, FILES) for path in FILES), Route("/progress", progress)],
        middleware=[Middleware(Guard, hosts=LOOPBACK)],
    )


async def _stream(board: Board, request: Request) -> AsyncIterator[str]:
    """Every event once, from where this browser left off, until there are no more to come."""
    sent = _last_seen(request)
    while True:
        closed = board.closed  # before the last look
        for number, event in enumerate(board.events[sent:], sent):
            yield f"id: {number}\ndata: {event}\n\n"
            sent = number + 1
        if closed:
            yield "event: end\ndata: {}\n\n"
            return
        await asyncio.sleep(PAUSE)


def _last_seen(request: Request) -> int:
    last = request.headers.get("last-event-id", "")
    return int(last) + 1 if last.isdecimal() else 0


def _scale(rows: Array) -> list[list[float]]:
    """Rows over their largest magnitudes, in three digits."""
    most = np.abs(rows).max(axis=1, keepdims=True)
    scaled: list[list[float]] = np.round(rows / np.where(most > 0, most, 1), 3).tolist()
    return scaled


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
