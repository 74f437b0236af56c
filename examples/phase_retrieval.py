"""Phase retrieval: an image from the size of its Fourier transform alone.

A detector far behind an object, as in X-ray diffraction, sees the size of the object's spectrum and
not its phase. With some space around the object that is known to be empty, the phases follow: they
are found here by the gradient of the misfit, with positive pixels as squares (Fienup, Phase
retrieval algorithms: a comparison, 1982, has the problem and gradient search for it). Coarse
features come first, since a search that starts with all of them ends in a wrong valley.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

SIZE, PADDED = 16, 32


def draw_object():
    """A ring, a bar and a dot without symmetry: (16, 16)."""
    y, x = np.mgrid[:SIZE, :SIZE]
    distance = np.hypot(x - 6, y - 9)
    image = 0.8 * (np.abs(distance - 4) < 0.9) + 1.0 * (np.abs(y - 2) < 1) * (np.abs(x - 8) < 5)
    return image + 0.6 * (np.hypot(x - 12, y - 12) < 1.6)


def measure(image):
    """The size of the spectrum of an image in empty space: (16, 16) -> (32, 17)."""
    return np.abs(np.fft.rfft2(image, (PADDED, PADDED)))


def misfit(root, sizes, weights):
    """The mean square of what is measured too much or too little, over that of all."""
    return np.sum(weights * (measure(root**2) - sizes) ** 2) / np.sum(sizes**2)


def compare(image, other):
    """The correlation of two images, also where one is turned by half a turn or moved.

    The measurement is the same for all of these.
    """
    best = 0.0
    for turned in (other, other[::-1, ::-1]):
        spectra = np.conj(np.fft.rfft2(image)) * np.fft.rfft2(turned)
        overlap = np.fft.irfft2(spectra, image.shape)
        best = max(best, overlap.max() / np.linalg.norm(image) / np.linalg.norm(turned))
    return best


def search(root, sizes):
    """From an image, its square root, to one that fits: frequencies come in one by one."""
    frequency = np.hypot(np.fft.fftfreq(PADDED)[:, None], np.fft.rfftfreq(PADDED))
    for width in (0.08, 0.15, 0.25, 0.5, np.inf):
        weights = np.exp(-((frequency / width) ** 2) / 2)
        fit = td.minimize(misfit, root, method="L-BFGS-B", args=(sizes, weights))
        root = fit.x
    return fit


def retrieve(sizes, starts, seed=0):
    """The best of several searches, each from a random image."""
    rng = np.random.default_rng(seed)
    found = [search(rng.uniform(0.1, 1, (SIZE, SIZE)), sizes) for _ in range(starts)]
    return min(found, key=lambda fit: fit.fun)


def draw(path, image, sizes, found):
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = {
        "the object": image,
        "what is measured (logarithm)": np.log(np.fft.fftshift(sizes, axes=0) + 0.1),
        "what follows from it": found,
    }
    for axes, (title, shown) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        axes.imshow(shown, cmap="magma")
        axes.set(title=title, xticks=[], yticks=[])
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="phase_retrieval.png", help="where to draw the picture")
    parser.add_argument("--starts", type=int, default=8, help="random images to start from")
    options = parser.parse_args()

    image = draw_object()
    sizes = measure(image)
    fit = retrieve(sizes, options.starts)
    found = fit.x**2
    print(f"misfit {fit.fun:.1e} from the best of {options.starts} starts")
    print(f"correlation with the object {compare(image, found):.4f}")
    draw(options.out, image, sizes, found)
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
