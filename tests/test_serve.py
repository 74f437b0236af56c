"""The page to draw on: what the server answers, and what a browser shows."""

import contextlib
import gc
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
import xml.etree.ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import PIL.Image
import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from typer.testing import CliRunner

import tinygrad_digits as td
from tests.browser import chromium, console, requests
from tests.programs import program
from tinygrad_digits.digits import errors
from tinygrad_digits.digits.app import cli, connections, serve
from tinygrad_digits.digits.app import console as command_line
from tinygrad_digits.digits.app import inference as reading
from tinygrad_digits.digits.data import dataset as data
from tinygrad_digits.digits.data import drawings
from tinygrad_digits.digits.data.augment import augment
from tinygrad_digits.digits.images import normalise
from tinygrad_digits.digits.model import mlp as model
from tinygrad_digits.digits.model import saliency
from tinygrad_digits.digits.runs import familiar, store

DIGITS = data.load_digits(np.float32)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def params():
    """A classifier of digits that are not quite where those of the data are; two seconds."""
    rng = np.random.default_rng(0)
    optimizer = td.optim.adam(0.002)

    @td.jit
    def step(params, state, x, labels):
        return optimizer.update(params, td.grad(model.loss)(params, x, labels), state)

    params = model.init_params((64, 96, 10), rng, np.float32)
    state = optimizer.init(params)
    for _ in range(25):
        moved = data.Dataset(augment(DIGITS.images[:1792], rng), DIGITS.labels[:1792])
        for x, labels in data.minibatches(moved, 64, rng):
            params, state = step(params, state, x, labels)
    return params


@pytest.fixture(scope="module")
def manner(params):
    return familiar.fit_manner(params, data.split(DIGITS, seed=0), synthetic=True)


@contextmanager
def serving(params, hosts=serve.LOOPBACK, mine=None, manner=None):
    """The port of a server in a thread."""
    server = serve.server(serve.application(params, hosts, mine, manner))
    with serve.listening("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    return tmp_path_factory.mktemp("mine")


@pytest.fixture(scope="module")
def port(params, mine):
    with serving(params, mine=mine) as port:
        yield port


def ask(port, method, path, body=None, headers=None, **options):
    """(status, headers, content) of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {}, **options)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def read(port, pixels):
    """What the server makes of a drawing."""
    status, _, content = ask(port, "POST", "/read", json.dumps({"pixels": pixels}), JSON)
    assert status == 200, content
    return json.loads(content)


def grid(image, enlarged=1, rows=(0, 0), columns=(0, 0)):
    """An image of the data as a drawing, with some paper around it."""
    drawing = np.kron(np.round(image.reshape(8, 8) * 255), np.ones((enlarged, enlarged)))
    return np.pad(drawing, (rows, columns)).astype(int).tolist()


def test_a_drawing_is_read_as_the_model_reads_it(port, params):
    image = np.round(DIGITS.images[6] * 255) / 255
    image /= image.max()
    found = read(port, grid(DIGITS.images[6]))
    assert set(found) == {"digit", "unlike", "probabilities", "image", "saliency", "occlusion"}
    assert found["unlike"] is False
    assert found["digit"] == 6 == np.argmax(found["probabilities"])
    np.testing.assert_allclose(np.ravel(found["image"]), image, atol=1e-6)
    expected = model.probabilities(params, image[np.newaxis])[0]
    np.testing.assert_allclose(found["probabilities"], expected, rtol=1e-4, atol=1e-6)
    assert np.shape(found["saliency"]) == (8, 8)
    expected = saliency.saliency(params, image[np.newaxis])[0]
    np.testing.assert_allclose(np.ravel(found["saliency"]), expected, rtol=1e-4, atol=1e-5)


def test_the_saliency_is_how_the_score_changes_with_each_pixel(params):
    params = td.tree.map(np.float64, params)
    found = reading.reader(params)(DIGITS.images[8].reshape(8, 8).astype(float))
    x, steps = found.image.ravel(), np.eye(64) * 1e-6
    up, down = (model.logits(params, x + h)[:, found.digit] for h in (steps, -steps))
    np.testing.assert_allclose(found.saliency.ravel(), (up - down) / 2e-6, rtol=1e-4, atol=1e-6)


def test_the_occlusion_is_how_the_score_falls_without_each_pixel(params):
    found = reading.reader(params)(DIGITS.images[3].reshape(8, 8))
    score = model.logits(params, found.image.reshape(1, 64))[0, found.digit]
    for i in range(64):
        covered = found.image.copy().reshape(1, 64)
        covered[0, i] = 0
        fall = score - model.logits(params, covered)[0, found.digit]
        np.testing.assert_allclose(found.occlusion.ravel()[i], fall, atol=1e-4)


def test_native_code_reads_the_same_as_numpy(params):
    pytest.importorskip("llvmlite")
    rows, hot = DIGITS.images[:50, None], np.ones((), np.float32)
    explainer = reading.Explainer(params, rows[0], hot)
    explainer.beside.join()
    assert explainer.compiled.backend == "native"
    for row in rows:
        found, expected = explainer(params, row, hot), reading.explain(params, row, hot)
        assert found[0].argmax() == expected[0].argmax()
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_without_llvmlite_numpy_reads(params, monkeypatch):
    monkeypatch.setattr(reading, "choose_backend", lambda _wanted: "numpy")
    row, hot = DIGITS.images[:1], np.ones((), np.float32)
    explainer = reading.Explainer(params, row, hot)
    assert not explainer.beside.is_alive()
    assert explainer.compiled.backend == "numpy"
    assert explainer(params, row, hot)[0].argmax() == 0


# ---- doubt

SCRIBBLE = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.full((5, 5), 255)).tolist()


def test_a_scribble_is_unlike_a_digit(params, manner):
    read = reading.reader(params, manner)
    assert read(reading.ink_of(SCRIBBLE)).unlike
    assert not reading.reader(params)(reading.ink_of(SCRIBBLE)).unlike
    assert not any(read(image.reshape(8, 8)).unlike for image in DIGITS.images[:20])


def test_what_is_said_is_tempered_and_why_is_not(params, manner):
    manner = manner._replace(temperature=2.5)
    ink = DIGITS.images[5].reshape(8, 8)
    plain, tempered = (reading.reader(params, how)(ink) for how in (None, manner))
    logits = model.logits(params, plain.image.reshape(1, 64))[0] / 2.5
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(tempered.probabilities, expected, rtol=1e-4, atol=1e-6)
    assert tempered.digit == plain.digit
    for name in ("saliency", "occlusion"):
        np.testing.assert_allclose(getattr(tempered, name), getattr(plain, name), atol=1e-5)


def test_the_server_says_what_is_unlike_a_digit(params, manner):
    with serving(params, manner=manner) as port:
        assert read(port, SCRIBBLE)["unlike"] is True
        assert read(port, grid(DIGITS.images[0]))["unlike"] is False


# ---- corrections


def correction(image, **otherwise):
    content = {"pixels": grid(image), "strokes": [[[0.5, 0.1], [0.5, 0.9]]], "digit": 7}
    return json.dumps(content | otherwise)


def test_a_correction_is_kept_as_data_and_taken_back(port, mine):
    image = np.round(DIGITS.images[1] * 255) / 255
    status, _, content = ask(port, "POST", "/mine", correction(image), JSON)
    answer = json.loads(content)
    assert status == 200
    assert answer["folder"] == str(mine)
    kept = drawings.load(mine)
    assert kept.labels.tolist() == [7]
    np.testing.assert_allclose(kept.images[0], image / image.max(), atol=1e-6)
    (picture,) = mine.glob("7/*.png")
    seen = np.asarray(PIL.Image.open(picture)) / 255
    np.testing.assert_allclose(seen.ravel(), image / image.max(), atol=0.5 / 255)
    drawn = json.loads(picture.with_suffix(".json").read_text())
    assert (drawn["read"], drawn["strokes"]) == (1, [[[0.5, 0.1], [0.5, 0.9]]])
    path = f"/mine/{answer['kept']}"
    assert [ask(port, "DELETE", path, headers=JSON)[0] for _ in range(2)] == [200, 404]
    assert not [path for path in mine.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("otherwise", "message"),
    [
        ({"digit": 10}, "0 ... 9"),
        ({"digit": True}, "0 ... 9"),
        ({"digit": "3"}, "0 ... 9"),
        ({"strokes": 3}, "list of strokes"),
        ({"strokes": [[[0.5, 1.5]]]}, "in 0 ... 1"),
        ({"strokes": [[[0.5]]]}, "in 0 ... 1"),
        ({"pixels": [[0] * 8] * 8}, "blank"),
        ({"more": 1}, "the body must be"),
    ],
)
def test_a_correction_of_nonsense_writes_nothing(port, mine, otherwise, message):
    status, _, content = ask(port, "POST", "/mine", correction(DIGITS.images[1], **otherwise), JSON)
    assert status == 422
    assert message in json.loads(content)["error"]
    assert not [path for path in mine.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["..", "%2e%2e%2f0", "0" * 31, "*", "0" * 32])
def test_only_what_is_kept_can_be_taken_back(port, mine, name):
    mine.joinpath("0").mkdir(exist_ok=True)
    bystander = mine / "0" / "bystander.png"
    bystander.write_bytes(b"")
    assert ask(port, "DELETE", f"/mine/{name}", headers=JSON)[0] in (404, 405)
    bystander.unlink()  # it is there


def test_a_folder_that_cannot_be_written_to_is_said(params, tmp_path):
    (tmp_path / "mine").write_text("a file")
    with serving(params, mine=tmp_path / "mine") as port:
        status, _, content = ask(port, "POST", "/mine", correction(DIGITS.images[1]), JSON)
    assert status == 500
    assert "cannot write to" in json.loads(content)["error"]


def test_the_tape_of_a_reading_is_drawn(port):
    body = json.dumps({"pixels": grid(DIGITS.images[6])})
    status, _, content = ask(port, "POST", "/tape", body, JSON)
    assert status == 200
    svg = json.loads(content)["svg"]
    assert xml.etree.ElementTree.fromstring(svg).tag.endswith("svg")
    assert svg.count("matmul") >= 2


@pytest.mark.parametrize("enlarged", [2, 4, 7])
def test_a_digit_may_stand_anywhere_and_be_of_any_size(port, enlarged):
    spare = 64 - 8 * enlarged
    right = 0
    for digit in range(10):
        image = DIGITS.images[digit]
        first = read(port, grid(image, enlarged, (0, spare), (0, spare)))
        assert read(port, grid(image, enlarged, (spare, 0), (spare, 0))) == first
        assert read(port, grid(image, enlarged)) == first  # without any margin
        right += first["digit"] == digit
    assert right >= 9


def test_faint_ink_counts_as_much_as_strong(port):
    strong, faint = (read(port, [[0] * 8, *[[p] * 8] * 7]) for p in (255, 1))
    assert faint == strong


PAPER = [[0] * 8] * 8
DEEP = b'{"pixels": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "must be JSON"),
        (b"{", 400, "must be JSON"),
        (b"\xff\xfe\x00", 400, "must be JSON"),
        (b'{"pixels": ' + b"9" * 10_000 + b"}", 400, "must be JSON"),
        (DEEP, 400, "must be JSON"),
        (b"[]", 422, "body must be"),
        (b"{}", 422, "body must be"),
        (b'{"pixels": [], "more": 1}', 422, "body must be"),
        (b'{"\\ud800": []}', 422, "body must be"),
        (b'{"pixels": null}', 422, "list of rows"),
        (b'{"pixels": "00"}', 422, "list of rows"),
        (b'{"pixels": [0, 0]}', 422, "list of rows"),
        (b'{"pixels": []}', 422, "8 to 64 rows"),
        (json.dumps({"pixels": [[0] * 7] * 8}).encode(), 422, "8 to 64 rows"),
        (json.dumps({"pixels": [[0] * 8] * 65}).encode(), 422, "8 to 64 rows"),
        (json.dumps({"pixels": [*PAPER, [0] * 9]}).encode(), 422, "8 to 64 rows"),
        (json.dumps({"pixels": [*PAPER, [0] * 7 + [256]]}).encode(), 422, "numbers in 0"),
        (json.dumps({"pixels": [*PAPER, [0] * 7 + [-1]]}).encode(), 422, "numbers in 0"),
        (json.dumps({"pixels": [*PAPER, [0] * 7 + [10**400]]}).encode(), 422, "numbers in 0"),
        (json.dumps({"pixels": [*PAPER, [0] * 7 + [np.nan]]}).encode(), 422, "numbers in 0"),
        (json.dumps({"pixels": [*PAPER, [0] * 7 + [np.inf]]}).encode(), 422, "numbers in 0"),
        (json.dumps({"pixels": [*PAPER, [0] * 7 + [True]]}).encode(), 422, "numbers in 0"),
        (json.dumps({"pixels": [*PAPER, [0] * 7 + ["1"]]}).encode(), 422, "numbers in 0"),
        (json.dumps({"pixels": [*PAPER, [0] * 7 + [None]]}).encode(), 422, "numbers in 0"),
        (json.dumps({"pixels": PAPER}).encode(), 422, "blank"),
        (json.dumps({"pixels": [*PAPER, [0] * 7 + [5e-324]]}).encode(), 422, "blank"),
        (b" " * (serve.LARGEST_BODY + 1), 413, "bytes at most"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else None,
)  # fmt: skip
def test_what_is_no_drawing_is_refused_and_the_server_lives_on(port, body, status, message):
    found, _, content = ask(port, "POST", "/read", body, JSON)
    assert (found, message in json.loads(content)["error"]) == (status, True), content
    assert read(port, grid(DIGITS.images[0]))["digit"] == 0


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/read", {}, 405),
        ("PUT", "/read", JSON, 405),
        ("OPTIONS", "/read", {"Origin": "http://elsewhere.example"}, 405),
        ("POST", "/", JSON, 405),
        ("GET", "/nowhere", {}, 404),
        ("GET", "/static/../serve.py", {}, 404),
        ("GET", "/static/%2e%2e/serve.py", {}, 404),
        ("POST", "/read", {}, 415),
        ("POST", "/read", {"Content-Type": "text/plain"}, 415),
        ("POST", "/read", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("GET", "/", {"Host": "elsewhere.example"}, 421),
        ("GET", "/", {"Host": "127.0.0.1.elsewhere.example:80"}, 421),
        ("GET", "/", {"Host": "elsewhere.example@127.0.0.1.nip.io"}, 421),
        ("GET", "/", {"Host": "[::1"}, 421),
        ("GET", "/", {"Host": ""}, 421),
        ("POST", "/read", {"Host": "elsewhere.example", **JSON}, 421),
    ],
)
def test_other_requests_are_refused(port, method, path, headers, status):
    found, sent, content = ask(port, method, path, b"{}" if method != "GET" else None, headers)
    assert found == status
    assert json.loads(content)["error"]
    assert sent["X-Content-Type-Options"] == "nosniff"
    assert not [name for name in sent if name.lower().startswith("access-control")]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8000"])
def test_names_of_this_computer_are_answered(port, host):
    assert ask(port, "GET", "/", headers={"Host": host})[0] == 200


def test_any_name_is_answered_where_all_may_come(params):
    with serving(params, hosts=None) as port:
        assert ask(port, "GET", "/", headers={"Host": "laptop.example"})[0] == 200


def exchange(port, sent):
    """Bytes for bytes, until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(sent)
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    return answer


HEAD = b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_a_body_that_is_too_large_is_not_waited_for(port):
    answer = exchange(port, HEAD + b"Content-Length: 1000000000000\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 413 ")
    chunk = serve.LARGEST_BODY + 1
    answer = exchange(
        port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % chunk + b" " * chunk
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert read(port, grid(DIGITS.images[0]))["digit"] == 0


def test_a_flood_of_chunks_is_cut_off(port):
    def flood():
        for _ in range(4096):  # 256 MB
            yield b" " * 65536

    try:
        status = ask(port, "POST", "/read", flood(), JSON, encode_chunked=True)[0]
    except OSError:  # the server has hung up in the middle
        status = 413
    assert status == 413
    assert read(port, grid(DIGITS.images[0]))["digit"] == 0


def test_a_body_that_never_comes_is_given_up(port, monkeypatch):
    monkeypatch.setattr(serve, "PATIENCE", 0.1)
    answer = exchange(port, HEAD + b"Content-Length: 10\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_head_that_never_comes_is_given_up(port, monkeypatch, sent):
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    assert exchange(port, sent) == b""  # it hangs up


def test_nor_is_the_head_of_the_next_request_waited_for(port, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    answer = exchange(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / ")
    assert answer.count(b"HTTP/1.1 ") == 1


@contextmanager
def connected(port, many):
    """So many connections that say nothing."""
    with contextlib.ExitStack() as held:
        for _ in range(many):
            held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        yield


@pytest.mark.parametrize(("of_one_address", "of_all"), [(32, 1000), (1000, 96)])
def test_connections_that_say_nothing_lock_nobody_out(params, monkeypatch, of_one_address, of_all):
    monkeypatch.setattr(connections, "OF_ONE_ADDRESS", of_one_address)  # 1000: as if of many
    monkeypatch.setattr(connections, "OF_ALL", of_all)
    with serving(params) as port, connected(port, 110):
        assert ask(port, "GET", "/")[0] == 200


def test_two_hundred_clients_at_once_are_all_answered(port):
    body = json.dumps({"pixels": grid(DIGITS.images[0])})
    with ThreadPoolExecutor(200) as clients:
        asked = [clients.submit(ask, port, "POST", "/read", body, JSON) for _ in range(200)]
    assert Counter(one.result()[0] for one in asked) == {200: 200}


def test_answered_requests_leave_nothing_behind(params):
    body = json.dumps({"pixels": grid(DIGITS.images[0])})
    server = serve.server(serve.application(params))
    with serve.listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()

        def ask_often(times):
            for _ in range(times):
                assert ask(port, "POST", "/read", body, JSON)[0] == 200
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before = ask_often(100)  # what is made once is there
            grown = ask_often(300) - before
        finally:
            tracemalloc.stop()
            server.should_exit = True
            thread.join()
    assert grown < 300 * 100  # bytes: an object that stays with each would take more
    assert not server.server_state.tasks


def test_a_request_that_is_being_answered_is_not_hung_up_on(params, monkeypatch):
    monkeypatch.setattr(connections, "OF_ONE_ADDRESS", 20)
    body = json.dumps({"pixels": grid(DIGITS.images[0])}).encode()
    with serving(params) as port, socket.create_connection(("127.0.0.1", port)) as ours:
        ours.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
        assert ask(port, "GET", "/")[0] == 200  # by now the head has been read
        with connected(port, 2 * connections.OF_ONE_ADDRESS):
            assert ask(port, "GET", "/")[0] == 200
        ours.sendall(body)
        assert ours.recv(100).startswith(b"HTTP/1.1 200 ")


def test_answers_are_sent_without_delay(params, monkeypatch):
    seen, made = [], connections.Connection.connection_made

    def connection_made(connection, transport):
        made(connection, transport)
        accepted = transport.get_extra_info("socket")
        seen.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(connections.Connection, "connection_made", connection_made)
    with serving(params) as port:
        assert ask(port, "GET", "/")[0] == 200
    assert seen
    assert all(seen)


def test_nonsense_and_hanging_up_do_no_harm(port):
    assert exchange(port, b"\x16\x03\x01 nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    for sent in (HEAD + b"Content-Length: 10\r\n\r\n{", HEAD, b""):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(sent)
    assert read(port, grid(DIGITS.images[0]))["digit"] == 0


@pytest.mark.parametrize("path", serve.FILES)
def test_the_page_and_its_parts_are_ours_alone(port, path):
    status, sent, content = ask(port, "GET", path)
    assert status == 200
    assert sent["Content-Type"].partition(";")[0] == serve.FILES[path][1]
    assert "default-src 'self'" in sent["Content-Security-Policy"]
    assert "unsafe" not in sent["Content-Security-Policy"]
    assert {name: sent[name] for name in serve.HEADERS} == serve.HEADERS
    assert "server" not in sent
    elsewhere = content.decode().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.findall(r"//\w.*", elsewhere)  # a comment has a space there


@pytest.mark.parametrize("sizes", [(9, 10), (64, 5)])
def test_a_model_of_something_else_is_refused(sizes):
    with pytest.raises(errors.RunError, match="64 pixels"):
        serve.application(model.init_params(sizes))


def test_addresses():
    with serve.listening("0.0.0.0", 0) as listener:
        assert serve.address(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with serve.listening("localhost", 0) as listener:
        assert serve.address(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}/"


# ---- the command ----


@pytest.fixture(scope="module")
def run_folder(params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    store.save_params(folder / store.PARAMS, params, {})
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a child there")
def test_the_command_serves_until_ctrl_c(run_folder):
    options = ["--port", "0", "--no-browser"]
    with program("serve", run_folder, *options, encoding="utf-8") as process:
        port = int(process.stdout.readline().split("http://127.0.0.1:")[1].split("/")[0])
        assert read(port, grid(DIGITS.images[0]))["digit"] == 0
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_the_command_opens_the_browser_unless_told_not_to(run_folder, monkeypatch):
    opened = threading.Event()
    monkeypatch.setattr(command_line.webbrowser, "open", lambda _address: opened.set())
    monkeypatch.setattr(serve, "run", lambda *given: given[-1]("http://127.0.0.1:1/"))
    quiet = CliRunner().invoke(cli.app, ["serve", str(run_folder), "--no-browser"])
    assert (quiet.exit_code, opened.is_set()) == (0, False)
    shown = CliRunner().invoke(cli.app, ["serve", str(run_folder), "--host", "0.0.0.0"])
    assert "http://127.0.0.1:1/" in shown.stdout
    assert "all who can reach" in shown.stderr
    assert opened.wait(30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "nowhere"),
        (["RUN", "--host", "192.0.2.1"], "cannot listen at 192.0.2.1"),
        (["RUN", "--port", "TAKEN"], "--port 0"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(run_folder, port, options, message):
    words = {"RUN": str(run_folder), "TAKEN": str(port)}
    result = CliRunner().invoke(cli.app, ["serve", *[words.get(o, o) for o in options]])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert message in line


def test_without_the_extra_one_line_says_what_to_install(run_folder):
    code = "import sys; sys.modules['starlette'] = None\n"
    code += "from tinygrad_digits.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", run_folder],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert 'pip install "tinygrad-digits[serve]"' in line


# ---- the page in a browser ----


def ring(x, y, wide, high):
    turn = np.linspace(0, 2 * np.pi, 25)
    return list(zip(x + wide * np.sin(turn), y - high * np.cos(turn), strict=True))


STROKES = {
    0: [ring(0.5, 0.5, 0.28, 0.42)],
    1: [[(0.5, 0.08), (0.5, 0.92)]],
    4: [[(0.58, 0.08), (0.2, 0.62), (0.82, 0.62)], [(0.62, 0.35), (0.62, 0.92)]],
    7: [[(0.2, 0.1), (0.8, 0.1), (0.42, 0.92)], [(0.35, 0.5), (0.75, 0.5)]],
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(browser, port):
    browser.get(f"http://127.0.0.1:{port}/")
    console(browser)
    requests(browser)
    yield browser
    assert console(browser) == []
    assert {address.split("/")[2] for address in requests(browser)} <= {f"127.0.0.1:{port}"}


def draw(driver, strokes, left=0.15, top=0.15, size=0.7, kind="mouse"):
    """Strokes in 0 ... 1 into a part of the pad."""
    box = driver.find_element(By.ID, "pad").rect
    actions = ActionBuilder(driver, PointerInput(kind, kind), duration=0)
    for stroke in strokes:
        for i, (x, y) in enumerate(stroke):
            actions.pointer_action.move_to_location(
                round(box["x"] + (left + x * size) * box["width"]),
                round(box["y"] + (top + y * size) * box["height"]),
            )
            if i == 0:
                actions.pointer_action.pointer_down()
        actions.pointer_action.pointer_up()
    actions.perform()


def text(driver, id):
    return driver.find_element(By.ID, id).text


def wait(driver, condition):
    try:
        return WebDriverWait(driver, 15, poll_frequency=0.05).until(condition)
    except TimeoutException:
        pytest.fail(f"the page says {text(driver, 'verdict')!r}")


def press(driver, keys):
    ActionChains(driver, duration=0).send_keys(keys).perform()


@pytest.mark.parametrize(
    ("digit", "place", "kind"),
    [
        (0, (0.1, 0.1, 0.8), "mouse"),
        (1, (0.1, 0.5, 0.4), "touch"),
        (4, (0.2, 0.1, 0.6), "pen"),
        (7, (0.6, 0.0, 0.4), "mouse"),
    ],
)
def test_a_digit_that_is_drawn_is_read(page, digit, place, kind):
    draw(page, STROKES[digit], *place, kind=kind)
    wait(page, lambda _: text_content(page, "announcement").startswith("This is a"))
    assert text_content(page, "announcement") == text_content(page, "verdict")
    assert text(page, "verdict").startswith(f"This is a {digit}, ")
    assert text(page, "digit") == str(digit)
    shares = page.find_elements(By.CSS_SELECTOR, "#probabilities td:last-child")
    assert [share.text.endswith(" %") for share in shares] == [True] * 10
    assert text(page, "verdict").endswith(f"{shares[digit].text}.")
    bars = page.find_elements(By.CSS_SELECTOR, "#probabilities .bar span")
    assert max(range(10), key=lambda i: float(bars[i].value_of_css_property("width")[:-2])) == digit


def test_the_pictures_are_of_what_the_server_saw(page):
    draw(page, STROKES[0])
    wait(page, lambda _: text(page, "verdict").startswith("This is a 0"))
    cells = page.execute_script(
        "return ['image', 'saliency'].map((name) =>"
        " [...document.querySelectorAll(`#${name}-numbers td`)].map((cell) => cell.textContent))"
    )
    image, pulls = (np.array([c.replace("−", "-") for c in of], float) for of in cells)
    assert image.shape == pulls.shape == (64,)
    assert {*image} <= {int(100 * count / 16 + 0.5) for count in range(17)}  # of 4x4 dots
    assert image.max() > 80
    assert image.reshape(8, 8)[3:5, 3:5].max() < 50  # the hole of the 0
    assert image.reshape(8, 8)[3:5, 2].min() > image.reshape(8, 8)[3:5, 0].max()
    assert pulls.min() < 0 < pulls.max()
    for name, colours in (("image", 6), ("saliency", 16)):  # a ring has few levels
        painted = page.execute_script(
            f"const c = document.getElementById('{name}').getContext('2d');"
            "return new Set(new Uint32Array(c.getImageData(0, 0, 8, 8).data.buffer)).size"
        )
        assert painted > colours
    labels = [page.find_element(By.ID, i).accessible_name for i in ("image", "saliency")]
    assert "of the 64" in labels[0]
    assert "for the 0" in labels[1]


def test_the_sentence_and_the_digit_never_disagree(page):
    page.execute_script("""
      window.disagreements = [];
      const compare = () => {
        const show = (id) => document.getElementById(id).textContent;
        const [digit, said] = ["digit", "verdict"].map(show);
        if (digit !== "?" && !said.includes(` ${digit},`)) window.disagreements.push([digit, said]);
      };
      new MutationObserver(compare).observe(document.querySelector(".verdict"),
        { childList: true, subtree: true, characterData: true });
    """)
    for digit in (0, 1, 4):
        draw(page, STROKES[digit])
        wait(page, lambda _, digit=digit: text(page, "digit") == str(digit))
        press(page, "c")
        wait(page, lambda _: text(page, "digit") == "?")
    assert page.execute_script("return window.disagreements") == []


COMPARE = """
  window.disagreements = [];
  const compare = () => {
    const show = (id) => document.getElementById(id).textContent;
    const [digit, said] = ["digit", "verdict"].map(show);
    const none = said.startsWith("This does not look") || said.startsWith("Nothing drawn");
    if ((digit === "?") !== none) window.disagreements.push([digit, said]);
  };
  new MutationObserver(compare).observe(document.querySelector(".verdict"),
    { childList: true, subtree: true, characterData: true });
"""
NONE = "This does not look like one digit."
ZIGZAG = [[(x, y) for y in np.linspace(0, 1, 9) for x in (0, 1)]]


def test_what_looks_like_no_digit_is_called_none(params, manner, browser):
    with serving(params, manner=manner) as port:
        browser.get(f"http://127.0.0.1:{port}/")
        browser.execute_script(COMPARE)
        for _ in range(2):
            draw(browser, ZIGZAG)
            wait(browser, lambda _: text(browser, "verdict") == NONE)
            assert text(browser, "digit") == "?"
            shares = browser.find_elements(By.CSS_SELECTOR, "#probabilities td:last-child")
            assert [share.text for share in shares] == ["–"] * 10
            assert not browser.find_elements(By.CSS_SELECTOR, "#probabilities .likeliest")
            press(browser, "c")
            draw(browser, STROKES[0])
            wait(browser, lambda _: text(browser, "verdict").startswith("This is a 0"))
            press(browser, "c")
            wait(browser, lambda _: text(browser, "verdict") == "Nothing drawn yet.")
        assert browser.execute_script("return window.disagreements") == []
        assert console(browser) == []


def test_a_correction_is_kept_and_taken_back_on_the_page(page, mine):
    digits = page.find_elements(By.CSS_SELECTOR, "#digits button")
    assert [digit.text for digit in digits] == [*"0123456789"]
    assert not digits[0].is_enabled()
    draw(page, STROKES[7])
    wait(page, lambda _: digits[0].is_enabled())
    for label in (1, 7):  # the second instead of the first
        digits[label].click()
        wait(page, lambda _, label=label: f"Kept as a {label}" in text(page, "kept"))
        assert drawings.load(mine).labels.tolist() == [label]
    (path,) = mine.glob("7/*.json")
    strokes = json.loads(path.read_text())["strokes"]
    assert len(strokes) == 2
    page.find_element(By.ID, "forget").click()
    wait(page, lambda _: text(page, "kept") == "")
    assert drawings.load(mine).labels.size == 0


def test_the_tape_opens_from_the_page(page):
    draw(page, STROKES[0])
    opener = page.find_element(By.ID, "show-tape")
    wait(page, lambda _: opener.is_enabled())
    opener.click()
    wide = "return document.getElementById('tape-picture').naturalWidth"
    wait(page, lambda _: page.execute_script(wide) > 100)
    page.find_element(By.CSS_SELECTOR, "#tape button").click()
    assert not page.find_element(By.ID, "tape").is_displayed()


def test_on_a_small_phone_the_reading_stays_in_view(port):
    with chromium(size=(360, 640)) as driver:
        driver.get(f"http://127.0.0.1:{port}/")
        draw(driver, STROKES[1])
        wait(driver, lambda _: text(driver, "verdict").startswith("This is a 1"))
        inside = """
          const place = (id) => document.getElementById(id).getBoundingClientRect();
          const [pad, digit] = ["pad", "digit"].map(place);
          return [pad.top >= 0 && pad.bottom <= digit.top, digit.bottom <= innerHeight];
        """
        assert driver.execute_script(inside) == [True, True]


def test_a_digit_can_be_drawn_by_the_keyboard(page):
    press(page, Keys.TAB)
    assert page.switch_to.active_element.get_attribute("id") == "pad"
    press(page, Keys.ARROW_UP * 6 + " ")
    wait(page, lambda _: text_content(page, "pen") == "pen down")
    press(page, Keys.ARROW_DOWN * 12)
    wait(page, lambda _: text_content(page, "pen") == "drawing, column 8, row 14 of 16")
    press(page, " ")
    wait(page, lambda _: text_content(page, "pen") == "pen up")
    wait(page, lambda _: text(page, "verdict").startswith("This is a 1"))


def text_content(driver, id):
    return driver.find_element(By.ID, id).get_property("textContent")


def test_diagonals_by_the_keyboard_make_a_seven(page):
    press(page, Keys.TAB + Keys.HOME * 4 + Keys.ARROW_UP * 2 + " ")
    press(page, Keys.ARROW_RIGHT * 7 + (Keys.END + Keys.ARROW_DOWN) * 6 + " ")
    press(page, Keys.ARROW_UP * 6 + " " + Keys.ARROW_RIGHT * 5 + " ")  # the bar across
    wait(page, lambda _: text(page, "verdict").startswith("This is a 7"))


def test_strokes_are_taken_back_and_cleared(page):
    undo, clear = (page.find_element(By.ID, i) for i in ("undo", "clear"))
    assert not undo.is_enabled()
    assert not clear.is_enabled()
    draw(page, STROKES[1])
    wait(page, lambda _: text(page, "verdict").startswith("This is a 1"))
    draw(page, [[(0.0, 0.05), (1.0, 0.1)], [(0.0, 0.95), (1.0, 0.9)]])
    wait(page, lambda _: text(page, "digit") != "1")
    undo.click()
    page.find_element(By.ID, "pad").send_keys("u")
    wait(page, lambda _: text(page, "verdict").startswith("This is a 1"))
    for clears in (clear.click, lambda: press(page, "c"), lambda: press(page, Keys.ESCAPE)):
        clears()
        wait(page, lambda _: text(page, "verdict") == "Nothing drawn yet.")
        assert text(page, "digit") == "?"
        assert page.switch_to.active_element.get_attribute("id") == "pad"
        draw(page, STROKES[1])
        wait(page, lambda _: text(page, "verdict").startswith("This is a 1"))
    ActionChains(page).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    wait(page, lambda _: text(page, "verdict") == "Nothing drawn yet.")


def test_the_page_can_be_used_without_sight(page):
    pad, verdict = page.find_element(By.ID, "pad"), page.find_element(By.ID, "verdict")
    assert pad.accessible_name == "Drawing pad"
    assert "arrow keys" in page.find_element(By.ID, pad.get_attribute("aria-describedby")).text or (
        "arrow keys" in text_content(page, "how")
    )
    assert page.find_element(By.ID, "announcement").aria_role == "status"
    assert verdict.is_displayed()
    assert page.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
    levels = [h.tag_name for h in page.find_elements(By.CSS_SELECTOR, "h1, h2, h3")]
    assert levels == ["h1", *["h2"] * 5]
    names = page.find_elements(By.CSS_SELECTOR, "main button:not([hidden]), canvas, summary")
    assert all(element.accessible_name for element in names)


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_page_does_not_scroll_sideways_and_can_be_read(port, dark):
    with chromium(size=(320, 800), dark=dark) as driver:
        driver.get(f"http://127.0.0.1:{port}/")
        draw(driver, STROKES[1])
        wait(driver, lambda _: text(driver, "verdict").startswith("This is a 1"))
        assert driver.execute_script(
            "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        worst = driver.execute_script(CONTRAST)
        assert worst[0] >= 4.5, worst
        assert console(driver) == []


CONTRAST = """
const light = (rgb) => rgb.map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const parse = (color) => color.match(/[\\d.]+/g).map(Number);
const paper = (element) => {
  for (; element; element = element.parentElement) {
    const found = parse(getComputedStyle(element).backgroundColor);
    if (found.length === 3 || found[3] === 1) return found.slice(0, 3);
  }
  return [255, 255, 255];
};
const texts = [...document.querySelectorAll("body *")].filter((element) =>
  element.offsetParent && [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
return texts.map((element) => {
  const [a, b] = [parse(getComputedStyle(element).color).slice(0, 3), paper(element)].map(light);
  return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.outerHTML];
}).sort((a, b) => a[0] - b[0])[0];
"""


def test_a_server_that_has_gone_is_noticed_and_found_again(params, browser):
    with serving(params) as port:
        browser.get(f"http://127.0.0.1:{port}/")
    draw(browser, STROKES[1])
    wait(browser, lambda _: "is it still running" in text(browser, "verdict"))
    server = serve.server(serve.application(params))
    with serve.listening("127.0.0.1", port) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait(browser, lambda _: text(browser, "verdict").startswith("This is a 1"))
        server.should_exit = True
        thread.join()
    console(browser)  # it says so there, too


def test_the_training_images_look_the_same_to_the_fitting():
    image = DIGITS.images[3].reshape(8, 8)
    np.testing.assert_allclose(normalise.fit_ink(image / 2), image / image.max())
