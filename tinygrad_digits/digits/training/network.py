"""What the estimators have in common: from rows to a trained perceptron, as scikit-learn has it."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..data.augment import augment as move_a_little
from ..data.dataset import Array, are_images
from ..extras import extra
from ..model import mlp
from ..model.mlp import Params
from . import threads
from .backends import choose_backend
from .batches import Rows, choose_size, pad_batches
from .loop import Batch, Progress, Step, fit, make_step
from .optimizer_choice import choose_optimizer, read_average
from .recipe import Recipe
from .settings import Settings, check_augment, check_settings, choose_recipe

with extra():
    from sklearn.base import BaseEstimator
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import MinMaxScaler, StandardScaler
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

FARTHEST = 3.0
"""Standard deviations at which a feature is cut off: without, a pixel that is hardly ever inked
outweighs the others where it is (97.1 % of the digits right; with, 97.6 %: means of 8 splits)."""


class Network(BaseEstimator):  # type: ignore[misc]
    """A multilayer perceptron that learns by the gradients of the tape.

    A subclass says what its targets are: `_learn_targets`, `_encode`, `_count_outputs`, `_weigh`,
    `_score_held`, and `row_loss`, the loss of (params, x, targets, weights, masks).
    """

    augment: Any
    backend: str | None
    batch_size: int | str
    dropout: float
    dtype: Any
    early_stopping: bool
    loss: Callable[[Any, Any], Any] | None
    n_iter_no_change: int
    random_state: Any
    scaling: str | None
    tol: float
    validation_fraction: float
    verbose: bool
    warm_start: bool

    params_: Params
    recipe_: Recipe
    scaler_: Any
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    row_loss: Callable[..., Any]
    general: Recipe
    """What "auto" is where rows are no images."""
    _progress: Progress
    _made_by: Recipe | None
    """What the optimiser's state is that of, where `partial_fit` may go on with it."""

    # --- learning

    def _fit(self, x: Any, y: Any, weights: Any) -> None:
        settings = self._check_settings()
        again = self.warm_start and hasattr(self, "params_")
        with all_or_nothing(self):
            rows = self._take(settings, x, y, weights, first=not again)
            self._seed()
            rows, held = self._set_aside(rows)
            self._fit_scaler(rows, afresh=True)
            self.loss_curve_ = []
            params = self.params_ if again else self._init_params(rows.x.dtype)
            self._finish(*self._descend(params, rows, held))

    def _partial_fit(self, x: Any, y: Any, classes: Any, weights: Any) -> None:
        settings = self._check_settings()
        first = not hasattr(self, "params_")
        with all_or_nothing(self):
            rows = self._take(settings, x, y, weights, first=first, classes=classes)
            if first:
                self._seed()
            self._fit_scaler(rows, afresh=first)
            self.loss_curve_ = [] if first else [*self.loss_curve_]
            endless: dict[str, Any] = {"schedule": "constant", "warmup": 0.0, "epochs": 1}
            recipe = dataclasses.replace(self.recipe_, **endless)
            if first or self._made_by != recipe:  # another method has another state
                params = self._init_params(rows.x.dtype) if first else self.params_
                self._progress = self._begin(params, recipe, 1)
            epochs = self._follow(self._progress, rows, recipe, 1, self._progress.epoch + 1)
            self._finish(next(epochs), [])
            self._made_by = recipe

    def _check_settings(self) -> Settings:
        return check_settings(self.get_params(deep=False))

    def _take(
        self, settings: Settings, x: Any, y: Any, weights: Any, *, first: bool, classes: Any = None
    ) -> Rows:
        """Rows that count, as floats, with targets as the loss takes them; what they are for."""
        dtype: Any = [np.float64, np.float32] if self.dtype is None else np.dtype(self.dtype)
        dtype = dtype if first else self.params_["w0"].dtype
        x, y = validate_data(self, x, y, dtype=dtype, reset=first, **self._target_checks())
        weights = _check_sample_weight(weights, x, dtype=x.dtype, ensure_non_negative=True)
        if not (counts := weights > 0).any():
            raise ValueError("all sample weights are zero: one or more must be positive")
        check_augment(self.augment, x.shape[1])
        x, y, weights = x[counts], y[counts], weights[counts]
        if first:
            self._sees_images = are_images(x)
            if self._sees_images and self.dtype is None:
                x, weights = (
                    x.astype(np.float32),
                    weights.astype(np.float32),
                )  # as the recipe has it
        self.recipe_ = choose_recipe(settings, images=self._sees_images, general=self.general)
        if not first and self.recipe_.hidden != (there := mlp.layer_sizes(self.params_)[1:-1]):
            raise ValueError(
                f"hidden cannot become {self.recipe_.hidden}: training goes on with layers {there}"
            )
        self._learn_targets(y, weights, classes, first=first)
        weights = self._weigh(y, weights)
        if self.loss is not None and np.ptp(weights):
            raise ValueError("loss=None takes weights, a loss of your own takes none: leave them")
        return Rows(x, self._encode(y, x.dtype), weights)

    def _seed(self) -> None:
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        self._rng = np.random.default_rng(seed)

    def _init_params(self, dtype: Any) -> Params:
        sizes = (self.n_features_in_, *self.recipe_.hidden, self._count_outputs())
        return mlp.init_params(sizes, self._rng, dtype)

    def _set_aside(self, rows: Rows) -> tuple[Rows, Rows | None]:
        """What is trained on, and what early stopping looks at."""
        if not self.early_stopping:
            return rows, None
        parts = train_test_split(
            *rows,
            test_size=self.validation_fraction,
            stratify=rows.y if rows.y.ndim == 1 else None,
            random_state=int(self._rng.integers(2**31)),
        )
        return Rows(*parts[::2]), Rows(*parts[1::2])

    def _begin(self, params: Params, recipe: Recipe, steps: int) -> Progress:
        return Progress(0, params, choose_optimizer(recipe, steps).init(params), params)

    def _descend(
        self, params: Params, rows: Rows, held: Rows | None
    ) -> tuple[Progress, list[float]]:
        """The best of the epochs, or the last where nothing is held; and the scores."""
        recipe = self.recipe_
        joined = len(rows.y) + round(recipe.synthetic * len(rows.y))
        steps = recipe.epochs * -(-joined // choose_size(len(rows.y), recipe.batch_size))
        best = self._begin(params, recipe, steps)
        scores: list[float] = []
        since = 0
        for progress in self._follow(best, rows, recipe, steps, recipe.epochs):
            if held is None:
                best = progress
                continue
            score = self._score_held(mlp.logits(progress.used, self._scale(held.x)), held)
            top = max(scores, default=-np.inf)
            best = progress if score > top else best
            since = 0 if score > top + self.tol else since + 1
            scores.append(score)
            if since >= self.n_iter_no_change:
                break
        return best, scores

    def _follow(
        self, begin: Progress, rows: Rows, recipe: Recipe, steps: int, epochs: int
    ) -> Iterator[Progress]:
        """The training loop, with notes of its losses."""
        rows = rows._replace(x=self._scale(rows.x))
        size, sizes = choose_size(len(rows.y), recipe.batch_size), mlp.layer_sizes(begin.params)
        shapes = (size, *sizes, rows.x.dtype, bool(self.dropout))
        backend = choose_backend(self.backend)
        step = reuse_step(type(self).row_loss, self.loss, recipe, steps, backend, shapes)
        few, average = threads.choose(0, sizes, size), read_average if recipe.ema else None
        draw = functools.partial(self._draw, rows, size, sizes[1:-1])
        for progress in fit(step, begin, draw, epochs, average, few):
            self.loss_curve_.append(progress.loss)
            if self.verbose:
                print(f"epoch {len(self.loss_curve_)}: loss {progress.loss:.6f}")  # noqa: T201
            yield progress

    def _draw(self, rows: Rows, size: int, hidden: tuple[int, ...]) -> Iterator[Batch]:
        """An epoch's batches: augmented, shuffled, and with dropout's masks."""
        rows = self._join(rows)
        x = rows.x
        if self.recipe_.augment:
            move = self.augment if callable(self.augment) else move_a_little
            moved = np.asarray(move(x, self._rng), x.dtype)
            if moved.shape != x.shape:
                raise ValueError(f"augment must keep the shape {x.shape}, but made {moved.shape}")
            x = moved
        for batch in pad_batches(rows._replace(x=x), size, self._rng):
            if self.loss is not None:  # which would not leave out the rows that fill a batch up
                real = batch.weights > 0
                batch = Rows(batch.x[real], batch.y[real], batch.weights[real])
            if self.dropout:
                drawn = mlp.draw_masks(hidden, len(batch.y), self.dropout, self._rng, x.dtype)
                yield *batch, drawn
            else:
                yield batch

    def _finish(self, progress: Progress, scores: list[float]) -> None:
        self._progress, self._made_by, self.params_ = progress, None, progress.used
        self.n_iter_ = len(self.loss_curve_)
        self.best_loss_ = min(self.loss_curve_)
        self.validation_scores_ = scores or None
        self.best_validation_score_ = max(scores, default=None)

    def _join(self, rows: Rows) -> Rows:
        """What an epoch learns."""
        return rows

    # --- scaling

    def _fit_scaler(self, rows: Rows, *, afresh: bool) -> None:
        """Fit the scaler to more rows."""
        kind = self.scaling
        if kind == "auto":
            kind = "range" if self.recipe_.augment else "standard"
        if afresh:
            scalers = {"standard": StandardScaler, "range": MinMaxScaler}
            self.scaler_ = scalers[kind]() if kind else None
        else:
            self.scaler_ = copy.deepcopy(self.scaler_)  # the old one stays as it was
        if isinstance(self.scaler_, MinMaxScaler):
            self.scaler_.partial_fit(rows.x.reshape(-1, 1))
        elif self.scaler_ is not None:
            self.scaler_.partial_fit(rows.x, sample_weight=rows.weights)

    def _scale(self, x: Array) -> Array:
        """(n, features) as the network sees them."""
        if isinstance(self.scaler_, MinMaxScaler):  # one range for all features
            return np.asarray(self.scaler_.transform(x.reshape(-1, 1))).reshape(x.shape)
        if self.scaler_ is None:
            return x
        near: Array = np.clip(self.scaler_.transform(x), -FARTHEST, FARTHEST)
        return near

    # --- use

    def _outputs(self, x: Any) -> Any:
        check_is_fitted(self)
        x = validate_data(self, x, dtype=self.params_["w0"].dtype, reset=False)
        return mlp.logits(self.params_, self._scale(x))

    # --- what a subclass says

    def _target_checks(self) -> dict[str, Any]:
        """Options of scikit-learn's `validate_data`."""
        return {}

    def _learn_targets(self, _y: Array, _weights: Array, _classes: Any, *, first: bool) -> None:
        """Learn, of the first rows, what there is to predict; refuse later rows that differ."""
        raise NotImplementedError

    def _weigh(self, _y: Array, weights: Array) -> Array:
        return weights

    def _encode(self, _y: Array, _dtype: Any) -> Array:
        """Targets as the loss takes them."""
        raise NotImplementedError

    def _count_outputs(self) -> int:
        raise NotImplementedError

    def _score_held(self, _outputs: Array, _held: Rows) -> float:
        raise NotImplementedError


@functools.lru_cache(maxsize=64)
def reuse_step(
    row_loss: Callable[..., Any],
    own: Callable[[Any, Any], Any] | None,
    recipe: Recipe,
    steps: int,
    backend: str | None,
    _shapes: tuple[Any, ...],
) -> Step:
    """One of so many steps, as `make_step` makes it, once for all fits that are alike.

    The `_shapes` (and dtypes) that the step will see are among its arguments so that it is traced
    for them alone, however many others there are.
    """

    def own_loss(params: Params, x: Any, y: Any, _weights: Any = None, masks: Any = ()) -> Any:
        assert own is not None
        return own(mlp.logits(params, x, masks), y)

    optimizer = choose_optimizer(recipe, steps)
    if own is not None:
        return make_step(optimizer, backend, loss=own_loss)
    return make_step(optimizer, backend, recipe.smoothing, row_loss)


@contextmanager
def all_or_nothing(estimator: Network) -> Iterator[None]:
    """Should what is done fail, or be interrupted, the estimator stays as it was before."""
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        estimator.__dict__ = before
        raise


def keep_settings(estimator: Network, arguments: Mapping[str, Any]) -> None:
    """As scikit-learn asks of `__init__`: each argument becomes the attribute of its name."""
    estimator.__dict__ |= {name: value for name, value in arguments.items() if name != "self"}
