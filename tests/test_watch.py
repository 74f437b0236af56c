"""The page of a training: what is published is told once and in order, whoever comes when."""

import contextlib
import http.client
import json

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser import chromium, console, visit
from tinygrad_digits.digits.app import watch
from tinygrad_digits.digits.data import Dataset, load_digits
from tinygrad_digits.digits.model import init_params, predict, probabilities

DIGITS = load_digits()
SOME = Dataset(DIGITS.images[:200], DIGITS.labels[:200])


def epoch(number, epochs=3):
    measures = {"loss": {"train": 2.0 / number, "validation": 2.5 / number}}
    measures["accuracy"] = {"train": 1 - 0.5 / number, "validation": 1 - 0.6 / number}
    there = {"epoch": number, "epochs": epochs, "shape": [8, 8], "classes": [*"0123456789"]}
    return there | measures | watch.describe_epoch(init_params(), SOME)


@pytest.fixture
def listen():
    """Ask for all events until the end."""
    with contextlib.ExitStack() as open_connections:

        def listen(where, last=None):
            port = int(where.rstrip("/").rpartition(":")[2])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            open_connections.callback(connection.close)
            seen = {} if last is None else {"Last-Event-ID": str(last)}
            connection.request("GET", "/progress", headers=seen)
            answer = connection.getresponse()
            open_connections.callback(answer.close)
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            return connection, answer

        yield listen


def events(answer):
    told = answer.read().decode().split("\n\n")
    assert told[-2:] == ["event: end\ndata: {}", ""]
    return [(int(t.split("\n")[0][4:]), json.loads(t.split("data: ")[1])) for t in told[:-2]]


def test_every_event_is_told_once_and_in_order_to_early_and_late(listen):
    with watch.watching() as (board, where):
        board.publish({"epoch": 1})
        _, early = listen(where)
        for number in (2, 3):
            board.publish({"epoch": number})
        _, late = listen(where)
        _, again = listen(where, last=1)
        board.closed = True
        assert [e["epoch"] for _, e in events(early)] == [1, 2, 3]
        assert [e["epoch"] for _, e in events(late)] == [1, 2, 3]
        assert events(again) == [(2, {"epoch": 3})]


def test_whoever_hangs_up_disturbs_nobody(listen):
    with watch.watching() as (board, where):
        board.publish({"epoch": 1})
        connection, answer = listen(where)
        answer.close()
        connection.close()
        board.publish({"epoch": 2})
        _, other = listen(where)
        board.closed = True
        assert len(events(other)) == 2


def test_numbers_that_are_not_finite_are_null():
    board = watch.Board()
    board.publish({"loss": {"train": float("nan"), "validation": [1.0, float("inf")]}})
    assert json.loads(board.events[0]) == {"loss": {"train": None, "validation": [1.0, None]}}


def test_the_worst_mistakes_are_those_it_was_surest_of():
    params = init_params()
    found = watch.describe_epoch(params, SOME)
    shares = probabilities(params, SOME.images)
    wrong = predict(params, SOME.images) != SOME.labels
    assert len(found["mistakes"]) == watch.MISTAKES
    told = [mistake["share"] for mistake in found["mistakes"]]
    assert told == sorted(told, reverse=True)
    assert told[0] == pytest.approx(shares[wrong].max(), abs=1e-4)
    assert all(mistake["read"] != mistake["label"] for mistake in found["mistakes"])
    for pixels, weights in zip(found["weights"], params["w0"].T, strict=False):
        np.testing.assert_allclose(pixels, weights / np.abs(weights).max(), atol=1e-3)


def test_a_port_that_is_taken_is_said():
    with watch.watching() as (_, where):
        port = int(where.rstrip("/").rpartition(":")[2])
        with pytest.raises(OSError, match="cannot listen"), watch.watching(port):
            pass


def wait(driver, start):
    WebDriverWait(driver, 30, 0.05).until(
        lambda driver: driver.find_element(By.ID, "state").text.startswith(start)
    )


def test_the_page_follows_a_training_to_its_end():
    with chromium() as driver, watch.watching() as (board, where):
        visit(driver, where)
        for number in (1, 2, 3):
            board.publish(epoch(number))
            WebDriverWait(driver, 30, 0.05).until(
                lambda d, n=number: d.find_element(By.ID, "state").text.startswith(
                    f"Epoch {n} of 3"
                )
            )
        points = driver.find_element(By.CSS_SELECTOR, "#loss .validation").get_attribute("points")
        assert len(points.split()) == 3
        assert len(driver.find_elements(By.CSS_SELECTOR, "#weights canvas")) == watch.UNITS
        captions = driver.find_elements(By.CSS_SELECTOR, "#mistakes figcaption")
        assert len(captions) == watch.MISTAKES
        assert "validation 80.0 %" in driver.find_element(By.ID, "accuracy-now").text
        board.closed = True
        wait(driver, "Done after 3 epochs")
        assert console(driver) == []
