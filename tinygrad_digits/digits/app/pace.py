"""How fast training goes, and how long it will still take."""

from __future__ import annotations

import time


class Pace:
    """Images a second, and seconds left, from the first epoch that is followed to the last.

    From the second epoch on without the first one, which compiles and draws synthetic digits.

    >>> pace = Pace(epochs=4, images=100)
    >>> pace.follow(0, now=7.0)
    >>> pace.images_per_second, pace.seconds_left
    (None, None)
    >>> pace.follow(1, now=9.0)
    >>> pace.images_per_second, pace.seconds_left
    (50.0, 6.0)
    >>> pace.follow(2, now=10.0)
    >>> pace.images_per_second, pace.seconds_left
    (100.0, 2.0)
    """

    def __init__(self, epochs: int, images: int) -> None:
        self.epochs, self.images = epochs, images
        self.images_per_second: float | None = None
        self.seconds_left: float | None = None
        self._began: tuple[int, float] | None = None
        self._warm = False

    def follow(self, epoch: int, now: float | None = None) -> None:
        """Such an epoch is over, now."""
        now = time.perf_counter() if now is None else now
        if self._began is None:
            self._began = epoch, now
            return
        gone, seconds = epoch - self._began[0], max(now - self._began[1], 1e-9)
        self.images_per_second = self.images * gone / seconds
        self.seconds_left = (self.epochs - epoch) * seconds / gone if gone else None
        if gone and not self._warm:
            self._began, self._warm = (epoch, now), True
