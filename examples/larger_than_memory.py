"""Full-batch descent on a data set that never exists whole: Dask arrays under the same tape.

Every chunk of the data is made where it is needed, by shifting the training images by up to a
pixel, and is gone after its share of the gradient has been taken. The model and its loss are those
of every other example: NumPy functions, which Dask's arrays answer as well.

Needs `pip install "tinygrad-digits[digits,distributed]"`.
"""

import argparse
import time
import tracemalloc

import dask
import dask.array as da
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tinygrad_digits as td
from tinygrad_digits.digits import model


def shifted(images, seed):
    """Each (8, 8) image moved by -1, 0 or 1 pixels in both directions, as the seed has it."""
    rows, columns = np.random.default_rng(seed).integers(0, 3, (2, len(images), 1, 1))
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    which, along = np.arange(len(images))[:, None, None], np.arange(8)
    return padded[which, rows + along[:, None], columns + along]


def chunked(images, labels, chunks, shifts):
    """Chunks of the training set, each with `shifts` new copies of it: images, and labels."""
    many, n = np.tile(images, (shifts, 1, 1)), len(images) * shifts

    def chunk(block_info=None):
        return shifted(many, block_info[None]["chunk-location"][0]).reshape(-1, 64)

    x = da.map_blocks(chunk, chunks=((n,) * chunks, (64,)), dtype=images.dtype)
    return x, da.from_array(np.tile(labels, shifts * chunks), chunks=n)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--chunks", type=int, default=40)
    options.add_argument("--shifts", type=int, default=8, help="of 1437 images, in each chunk")
    options.add_argument("--steps", type=int, default=60, help="of full-batch descent")
    options = options.parse_args()

    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 8, 8)
    images, test_images, labels, test_labels = train_test_split(
        images, labels, test_size=0.2, random_state=42, stratify=labels
    )
    x, y = chunked(images, labels, options.chunks, options.shifts)
    print(f"{x.shape[0]:,} images in {x.npartitions} chunks: {x.nbytes / 1e6:.0f} MB")

    params = model.init_params(dtype=np.float32)
    optimizer = td.optim.momentum(rate=0.3, beta=0.9)
    state = optimizer.init(params)

    def step(params, state):
        lazy = td.value_and_grad(model.loss)(params, x, y)  # a graph: nothing is computed yet
        loss, grads = dask.compute(*lazy, scheduler="threads", num_workers=2)
        return loss, *optimizer.update(params, grads, state)

    tracemalloc.start()
    step(params, state)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"a step's peak memory: {peak / 1e6:.0f} MB, {peak / x.nbytes:.0%} of the images")

    start = time.perf_counter()
    for k in range(1, options.steps + 1):
        loss, params, state = step(params, state)
        if k % 10 == 0:
            right = model.accuracy(params, test_images.reshape(-1, 64), test_labels)
            seconds = (time.perf_counter() - start) / k
            print(f"step {k}: loss {loss:.4f}, test {right:.2%}, {seconds:.2f} s each", flush=True)


if __name__ == "__main__":
    main()
