"""Seconds to 97 % on 60,000 images of 28x28: one network, batch and optimiser in every library.

python -m benchmarks.to_accuracy             one core, then all of them
python -m benchmarks.to_accuracy --write P   writes the images to P.npz, for `train --data P.npz`

The images are scikit-learn's digits, enlarged and bent: 60,000 of its training images, 10,000 of
those held out. Every contender draws its first weights as its users do. Timed is training alone,
epoch by epoch, compilation included; accuracy is looked at in between.
"""

import argparse
import functools
import importlib.util
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from . import ALL_CORES, pinning

SIZES = (784, 256, 128, 10)
BATCH, RATE, GOAL, MOST = 128, 0.001, 0.97, 12
SIDE = 28
Predict = Callable[[np.ndarray], np.ndarray]


class Data(NamedTuple):
    """Images (n, 784) float32 in 0 ... 1 and labels (n,) int64, to learn from and held out."""

    x: np.ndarray
    labels: np.ndarray
    held: np.ndarray
    held_labels: np.ndarray


def make_data(rows: int = 60_000, held: int = 10_000, seed: int = 0) -> Data:
    """Enlarged and bent digits; the same for the same seed."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.2, random_state=42, stratify=labels)
    rng = np.random.default_rng(seed)
    return Data(*_bent(parts[0], parts[2], rows, rng), *_bent(parts[1], parts[3], held, rng))


def _bent(images: Any, labels: Any, rows: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """`rows` variations: turned, sheared, scaled, moved, and bent by a smooth field."""
    from scipy.ndimage import map_coordinates, zoom

    chosen = rng.integers(len(labels), size=rows)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 2, indexing="ij"))
    made = np.empty((rows, SIDE * SIDE), np.float32)
    for row, image in enumerate(images[chosen]):
        turn, shear = rng.normal(0, 0.12), rng.normal(0, 0.12)
        scale = 1 + rng.normal(0, 0.07, 2)
        cos, sin = np.cos(turn), np.sin(turn)
        matrix = np.array([[cos, -sin], [sin + shear, cos]]) / scale[:, None]
        field = np.stack([zoom(rng.normal(0, 0.06, (4, 4)), SIDE / 4, order=1) for _ in range(2)])
        at = np.tensordot(matrix, grid, 1) + rng.normal(0, 0.06, 2)[:, None, None] + field
        made[row] = map_coordinates(image.reshape(8, 8), 3.5 + 4 * at, order=1).ravel()
    return made, labels[chosen].astype(np.int64)


def batches(data: Data, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    order = rng.permutation(len(data.labels))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        yield data.x[chosen], data.labels[chosen]


# --- the contenders: each yields how to predict after every epoch


def ours(data: Data, backend: str) -> Iterator[Predict]:
    import tinygrad_digits as td
    from tinygrad_digits.digits import model

    optimizer = td.optim.adam(RATE)

    @td.jit(backend=backend, donate=("params", "state"))
    def step(params: Any, state: Any, x: Any, labels: Any) -> Any:
        return optimizer.update(params, td.grad(model.loss)(params, x, labels), state)

    rng = np.random.default_rng(0)
    params = model.init_params(SIZES, rng, np.float32)
    state = optimizer.init(params)
    while True:
        for x, labels in batches(data, rng):
            params, state = step(params, state, x, labels)
        yield functools.partial(model.predict, params)


def scikit_learn(data: Data) -> Iterator[Predict]:
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(
        SIZES[1:-1], batch_size=BATCH, learning_rate_init=RATE, alpha=0, random_state=0
    )
    while True:
        network.partial_fit(data.x, data.labels, classes=np.arange(10))  # one epoch
        yield network.predict


def pytorch(data: Data) -> Iterator[Predict]:
    import torch

    if ALL_CORES not in os.environ:
        torch.set_num_threads(1)
    torch.manual_seed(0)
    layers: list[Any] = []
    for fan_in, fan_out in itertools.pairwise(SIZES):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    loss = torch.nn.CrossEntropyLoss()
    rng = np.random.default_rng(0)
    while True:
        for x, labels in batches(data, rng):
            optimizer.zero_grad()
            loss(network(torch.from_numpy(x)), torch.from_numpy(labels)).backward()
            optimizer.step()
        yield lambda x: network(torch.from_numpy(x)).argmax(1).numpy()


def jax(data: Data) -> Iterator[Predict]:
    import jax as jx
    import jax.numpy as jnp
    import optax

    from tinygrad_digits.digits import model

    optimizer = optax.adam(RATE)

    def logits(params: Any, x: Any) -> Any:
        h = jx.nn.relu(x @ params["w0"] + params["b0"])
        h = jx.nn.relu(h @ params["w1"] + params["b1"])
        return h @ params["w2"] + params["b2"]

    def loss(params: Any, x: Any, labels: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), labels).mean()

    @jx.jit
    def step(params: Any, state: Any, x: Any, labels: Any) -> Any:
        updates, state = optimizer.update(jx.grad(loss)(params, x, labels), state)
        return optax.apply_updates(params, updates), state

    def predict(params: Any, x: Any) -> Any:
        return np.asarray(logits(params, x).argmax(1))

    rng = np.random.default_rng(0)
    params = jx.tree.map(jnp.asarray, model.init_params(SIZES, rng, np.float32))
    state = optimizer.init(params)
    while True:
        for x, labels in batches(data, rng):
            params, state = step(params, state, x, labels)
        jx.block_until_ready(params)
        yield functools.partial(predict, params)


CONTENDERS: dict[str, tuple[str, Callable[[Data], Iterator[Predict]]]] = {
    "ours, jit": ("numpy", lambda data: ours(data, "numpy")),
    "ours, native": ("llvmlite", lambda data: ours(data, "native")),
    "MLPClassifier": ("sklearn", scikit_learn),
    "PyTorch": ("torch", pytorch),
    "JAX": ("optax", jax),
}
"""By name: the module that has to be there, and how it trains."""


def race(data: Data, most: int = MOST) -> dict[str, dict[str, float]]:
    """Seconds to the goal and epochs, by contender, an epoch each in turn."""
    there = {
        name: {"trains": trains(data), "seconds": 0.0, "epochs": 0, "accuracy": 0.0}
        for name, (module, trains) in CONTENDERS.items()
        if importlib.util.find_spec(module)
    }
    for _ in range(most):
        for name, lane in there.items():
            if lane["accuracy"] >= GOAL:
                continue
            start = time.perf_counter()
            predict = next(lane["trains"])
            lane["seconds"] += time.perf_counter() - start
            lane["epochs"] += 1
            lane["accuracy"] = float(np.mean(predict(data.held) == data.held_labels))
            print(f"  {name}: {lane['seconds']:.2f} s, {lane['accuracy']:.2%}", file=sys.stderr)
    return {n: {k: v for k, v in lane.items() if k != "trains"} for n, lane in there.items()}


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown: contenders down, cores across."""
    rows = [f"| seconds to {GOAL:.0%} | {' | '.join(found)} |", "| --- |" + " ---: |" * len(found)]
    for name in next(iter(found.values())):
        cells = [
            f"{lane['seconds']:.1f} ({lane['epochs']} epochs)"
            if lane["accuracy"] >= GOAL
            else f"not in {lane['seconds']:.1f}: {lane['accuracy']:.1%}"
            for lane in (cores[name] for cores in found.values())
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", metavar="PATH", help="write the images there, and stop")
    parser.add_argument("--rows", type=int, default=60_000)
    options, rest = parser.parse_known_args()
    if rest:  # the process on all cores, which answers in JSON
        print(json.dumps(race(make_data(json.loads(rest[0])))))
        return
    if options.write:
        data = make_data(options.rows)
        pixels = [np.round(255 * x).astype(np.uint8).reshape(-1, SIDE, SIDE) for x in data[::2]]
        train, held = pixels
        parts = {"y_train": data.labels, "y_test": data.held_labels}
        np.savez(options.write, x_train=train, x_test=held, **parts)
        return
    cores = pinning.pin()
    found = {"one core": race(make_data(options.rows))}
    if len(cores) > 1:
        name = f"all {len(cores)} cores"
        found[name] = pinning.run_on_all("benchmarks.to_accuracy", options.rows, cores)
    print(table(found))


if __name__ == "__main__":
    main()
