"""How many drawn digits the classifier reads, in each kind of picture.

`python -m benchmarks.drawn` trains by the default recipe (or, with --run, reads what a run kept),
draws every digit by each hand of tests/drawn.py in each kind of picture, and reads the pictures'
files as `predict` does. `--plain-data` trains without synthetic digits, `--model svc` asks an
SVC(C=10) that sees what the network sees.
"""

import argparse
import functools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests import drawn
from tinygrad_digits.digits.data.dataset import Dataset
from tinygrad_digits.digits.data.strokes import add_synthetic
from tinygrad_digits.digits.images.files import ImageError, read_images
from tinygrad_digits.digits.model import kinds
from tinygrad_digits.digits.runs import material, run, store
from tinygrad_digits.digits.training.recipe import configure

SEED = 1000
"""Of the first sample: none that a recipe was chosen on."""

Predict = Callable[[Any], Any]


class Row(NamedTuple):
    """How many of a kind's pictures were read right, and how many as one digit at all."""

    kind: str
    right: int
    found: int
    pictures: int


def train(given: dict[str, Any]) -> tuple[Predict, float, float]:
    """By the recipe: (n, 64) -> (n,) labels; accuracy on the test set; seconds of training."""
    config = configure(given)
    data = material.load_split(config)
    began = time.perf_counter()
    *_, last = run.start(config, data)
    seconds = time.perf_counter() - began
    accuracy = (predict(last.params, data.test.images) == data.test.labels).mean()
    return functools.partial(predict, last.params), float(accuracy), seconds


def predict(params: Any, x: Any) -> Any:
    """(n, 64) -> (n,) labels, by either model."""
    return kinds.logits(params, x).argmax(axis=1)


def train_svc(share: float) -> tuple[Predict, float, float]:
    """An SVC that sees the same split and as many synthetic digits as an epoch has."""
    from sklearn.svm import SVC

    config = configure({})
    data = material.load_split(config)
    seen = add_synthetic(Dataset(*data.train), np.random.default_rng(config.seed), share)
    began = time.perf_counter()
    svc = SVC(C=10).fit(*seen)
    return svc.predict, svc.score(*data.test), time.perf_counter() - began


def measure(predict: Predict, samples: int) -> Iterator[Row]:
    """Read each kind's pictures: six hands, ten digits, so many samples."""
    with tempfile.TemporaryDirectory() as folder:
        for kind in drawn.KINDS:
            ones = [*drawn.draw_all(kind, samples, SEED)]
            read = [read_picture(one.picture, Path(folder) / "x.png") for one in ones]
            whole = [i for i, images in enumerate(read) if len(images) == 1]
            labels = predict(np.concatenate([read[i] for i in whole])) if whole else []
            right = sum(ones[i].label == label for i, label in zip(whole, labels, strict=True))
            yield Row(kind, right, len(whole), len(ones))


def read_picture(picture: Any, path: Path) -> Any:
    """Its digits as `predict` sees them, by way of a file: (n, 64); none where there is nothing."""
    picture.save(path)
    try:
        return read_images(path).astype(np.float32)
    except ImageError:
        return ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--run", type=Path, help="a run's folder, instead of training")
    parser.add_argument("--plain-data", action="store_true")
    parser.add_argument("--model", choices=["mlp", "conv", "svc"], default="mlp")
    args = parser.parse_args()
    given: dict[str, Any] = {"synthetic": 0.0} if args.plain_data else {}
    if args.run:
        reader: Predict = functools.partial(predict, store.load_run(args.run).params)
    else:
        share = configure(given).synthetic
        svc = args.model == "svc"
        trained = train_svc(share) if svc else train({**given, "model": args.model})
        reader, accuracy, seconds = trained
        print(f"test accuracy {accuracy:.2%} after {seconds:.1f} s\n")
    print("| kind | read right | of pictures | found as one digit |")
    print("| --- | ---: | ---: | ---: |")
    for row in measure(reader, args.samples):
        share = row.right / row.pictures
        print(f"| {row.kind} | {share:.1%} | {row.pictures} | {row.found} |", flush=True)


if __name__ == "__main__":
    main()
