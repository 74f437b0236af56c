"""The classifier as a scikit-learn estimator: for pipelines, searches and cross-validation."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np

from ...compiler.api import BACKENDS
from ...ops.softmax import log_softmax, softmax
from ..data.augment import augment as move_a_little
from ..data.dataset import PIXELS, Array
from ..extras import extra
from ..model import mlp as model
from ..model.mlp import Params
from . import fitting, threads
from . import optimizer_choice as descent
from .fitting import Progress, Rows
from .recipe import Recipe

with extra():
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import MinMaxScaler, StandardScaler
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

FARTHEST = 3.0
"""Standard deviations at which a feature is cut off: without, a pixel that is hardly ever inked
outweighs the others where it is (97.1 % of the digits right; with, 97.6 %: means of 8 splits)."""


class DigitsClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A multilayer perceptron that learns by the gradients of the tape, for features of any kind.

    Args:
        hidden: the sizes of the hidden layers; () makes it a logistic regression.
        optimizer: "gd", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw" or "lion".
        rate: the learning rate; None for one that suits the optimiser.
        schedule: "constant", "step" (a tenth after each third of the steps), "cosine" or
            "one-cycle". In `partial_fit`, which cannot know how much is to come, it is constant.
        warmup: the share of all steps in which the rate grows to `rate` first.
        weight_decay: how fast weights shrink, times the rate, in "adamw" and "lion"; the L2
            penalty in others. Biases do not decay. None for what suits the optimiser.
        smoothing: the share of each label that is spread over all classes.
        ema: how much a moving average of the parameters keeps in a step; the model is then that
            average. 0 for none.
        batch_size: rows a step; smaller data are one batch.
        epochs: passes over the data, at most.
        augment: True to move, turn and resize the 8x8 images of each epoch a little, or a function
            (rows, generator) -> rows of your own; it sees features scaled to 0 ... 1.
        scaling: "standard": each feature minus its mean, over its standard deviation, and cut off
            at 3; "range": all minus the smallest, over the range of all together, as suits images;
            None: as they are; "auto": "range" for augmented data, else "standard".
        early_stopping: set part of the data aside, stop when their accuracy stops growing, and keep
            the best parameters. Otherwise training goes on for all epochs.
        validation_fraction: the share that early stopping sets aside, stratified by class.
        n_iter_no_change: epochs without a better accuracy after which early stopping stops.
        tol: by how much an accuracy has to be better.
        warm_start: let `fit` go on from where the last one left.
        dtype: "float32" or "float64"; None for that of the data, float64 where they have neither.
        backend: of `jit`; None for eager.
        random_state: for the initial weights, the batches, augmentation and the data set aside.
        verbose: print a line an epoch.

    Attributes:
        classes_, n_features_in_, feature_names_in_: as of every classifier.
        params_: the parameters, as `model.init_params` makes them.
        scaler_: the fitted StandardScaler or MinMaxScaler, or None.
        n_iter_: epochs.
        loss_curve_: the mean loss of each epoch; best_loss_ is the least.
        validation_scores_: the accuracy of each epoch on the data set aside, or None;
            best_validation_score_ is the highest.

    With sample weights the loss is their weighted mean: whole numbers act as repetitions, exactly
    so while all rows fit into one batch, and rows that weigh 0 are left out. Errors are ValueError,
    or FloatingPointError when the loss stops being finite; a fit that fails, or is interrupted,
    leaves the estimator as it was.

    >>> from sklearn.datasets import load_digits
    >>> pixels, labels = load_digits(return_X_y=True)
    >>> classifier = DigitsClassifier(epochs=10, random_state=0).fit(pixels[:1000], labels[:1000])
    >>> classifier.score(pixels[1000:], labels[1000:]) > 0.9
    True
    """

    params_: Params
    scaler_: Any
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    _progress: Progress
    _made_by: Recipe | None
    """What the optimiser's memory is that of, where `partial_fit` may go on with it."""

    def __init__(
        self,
        hidden: Sequence[int] = model.SIZES[1:-1],
        *,
        optimizer: str = "adamw",
        rate: float | None = None,
        schedule: str = "cosine",
        warmup: float = 0.0,
        weight_decay: float | None = None,
        smoothing: float = 0.0,
        ema: float = 0.0,
        batch_size: int = 64,
        epochs: int = 60,
        augment: bool | Callable[[Array, np.random.Generator], Array] = False,
        scaling: str | None = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        dtype: Any = None,
        backend: str | None = "numpy",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden = hidden
        self.optimizer = optimizer
        self.rate = rate
        self.schedule = schedule
        self.warmup = warmup
        self.weight_decay = weight_decay
        self.smoothing = smoothing
        self.ema = ema
        self.batch_size = batch_size
        self.epochs = epochs
        self.augment = augment
        self.scaling = scaling
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.dtype = dtype
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    # --- learning

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> DigitsClassifier:  # noqa: N803
        """Learn from rows and labels: (n, features), (n,), and (n,) weights if any -> itself."""
        check_settings(self)
        again = self.warm_start and hasattr(self, "params_")
        with all_or_nothing(self):
            rows, labels = self._checked(X, y, sample_weight, reset=not again)
            if not again:
                self.classes_ = np.unique(labels)
            self._seed()
            rows, held = self._set_aside(self._numbered(rows, labels))
            self._scale_to(rows, afresh=True)
            self.loss_curve_ = []
            params = self.params_ if again else self._new_params(rows.x.dtype)
            self._finish(*self._descend(params, rows, held))
        return self

    def partial_fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
    ) -> DigitsClassifier:
        """Go once over some rows, on from where the last call or `fit` left: -> itself.

        The first call needs all the classes that there will be; its rows need not hold every one.
        Scaling follows the rows seen so far.
        """
        check_settings(self)
        first = not hasattr(self, "params_")
        if first and classes is None:
            raise ValueError("the first call of partial_fit needs classes=, all there will be")
        with all_or_nothing(self):
            rows, labels = self._checked(X, y, sample_weight, reset=first)
            if first:
                self.classes_ = np.unique(classes)
                self._seed()
            elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(f"classes were {self.classes_}, they cannot become {classes}")
            rows = self._numbered(rows, labels)
            self._scale_to(rows, afresh=first)
            self.loss_curve_ = [] if first else [*self.loss_curve_]
            recipe = dataclasses.replace(self._recipe(), schedule="constant", warmup=0.0)
            if first or self._made_by != recipe:  # another method remembers something else
                params = self._new_params(rows.x.dtype) if first else self.params_
                self._progress = fitting.begin(params, recipe, 1)
            self._finish(self._epoch(self._progress, rows, recipe, 1), [])
            self._made_by = recipe
        return self

    def _checked(self, x: Any, y: Any, weights: Any, *, reset: bool) -> tuple[Rows, Array]:
        """Rows that count, as floats, not numbered yet, and their labels."""
        dtype: Any = [np.float64, np.float32] if self.dtype is None else np.dtype(self.dtype)
        dtype = dtype if reset else self.params_["w0"].dtype
        x, y = validate_data(self, x, y, dtype=dtype, reset=reset)
        check_classification_targets(y)
        weights = _check_sample_weight(weights, x, dtype=x.dtype, ensure_non_negative=True)
        counts = weights > 0
        if not counts.any():
            raise ValueError("all sample weights are zero: one or more must be positive")
        if not reset and (*self.hidden,) != (there := self._layers()):
            raise ValueError(
                f"hidden cannot become {self.hidden}: training goes on with layers {there}"
            )
        if moves_images(self.augment) and x.shape[1] != PIXELS:
            raise ValueError(
                f"augment=True is for 8x8 images, {PIXELS} features, got {x.shape[1]}: "
                "use False, or a function (rows, generator) -> rows"
            )
        return Rows(x[counts], np.empty(0, int), weights[counts]), y[counts]

    def _numbered(self, rows: Rows, labels: Array) -> Rows:
        """With labels as places in `classes_`."""
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"y holds {unknown}, not among the classes {self.classes_}")
        return rows._replace(labels=np.searchsorted(self.classes_, labels))

    def _recipe(self) -> Recipe:
        """How to step, as the program has it."""
        rate, decay = self.rate, self.weight_decay
        return Recipe(
            optimizer=self.optimizer,
            rate=fitting.RATES[self.optimizer] if rate is None else float(rate),
            schedule=self.schedule,
            warmup=float(self.warmup),
            weight_decay=fitting.DECAYS.get(self.optimizer, 0.0) if decay is None else float(decay),
            smoothing=float(self.smoothing),
            ema=float(self.ema),
        )

    def _seed(self) -> None:
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        self._rng = np.random.default_rng(seed)

    def _layers(self) -> tuple[int, ...]:
        """The sizes of the hidden layers that there are."""
        return (*model.layer_sizes(self.params_)[1:-1],)

    def _new_params(self, dtype: Any) -> Params:
        sizes = (self.n_features_in_, *self.hidden, len(self.classes_))
        return model.init_params(sizes, self._rng, dtype)

    def _set_aside(self, rows: Rows) -> tuple[Rows, Rows | None]:
        """What is trained on, and what early stopping looks at."""
        if not self.early_stopping:
            return rows, None
        parts = train_test_split(
            *rows,
            test_size=self.validation_fraction,
            stratify=rows.labels,
            random_state=int(self._rng.integers(2**31)),
        )
        return Rows(*parts[::2]), Rows(*parts[1::2])

    def _descend(
        self, params: Params, rows: Rows, held: Rows | None
    ) -> tuple[Progress, list[float]]:
        """The best of the epochs, or the last where nothing is held; and the accuracies."""
        recipe = self._recipe()
        size = fitting.padded_size(len(rows.labels), self.batch_size)
        steps = self.epochs * -(-len(rows.labels) // size)
        progress = best = fitting.begin(params, recipe, steps)
        scores: list[float] = []
        since = 0
        for _ in range(self.epochs):
            progress = self._epoch(progress, rows, recipe, steps)
            if held is None:
                best = progress
                continue
            score = self._accuracy(progress.used, held)
            top = max(scores, default=-1.0)
            best = progress if score > top else best
            since = 0 if score > top + self.tol else since + 1
            scores.append(score)
            if since >= self.n_iter_no_change:
                break
        return best, scores

    def _epoch(self, progress: Progress, rows: Rows, recipe: Recipe, steps: int) -> Progress:
        x = self._scaled(rows.x)
        if self.augment:
            move = self.augment if callable(self.augment) else move_a_little
            moved = np.asarray(move(x, self._rng), x.dtype)
            if moved.shape != x.shape:
                raise ValueError(f"augment must keep the shape {x.shape}, but made {moved.shape}")
            x = moved
        size = fitting.padded_size(len(x), self.batch_size)
        sizes = model.layer_sizes(progress.params)
        step = fitting.make_step(recipe, steps, self.backend, (size, *sizes, x.dtype))
        rows = rows._replace(x=x)
        with threads.limited(threads.chosen(0, sizes, size)):
            progress, loss = fitting.epoch(step, progress, rows, size, self._rng, recipe.ema)
        self.loss_curve_.append(loss)
        if self.verbose:
            print(f"epoch {len(self.loss_curve_)}: loss {loss:.6f}")  # noqa: T201
        return progress

    def _finish(self, progress: Progress, scores: list[float]) -> None:
        self._progress, self._made_by, self.params_ = progress, None, progress.used
        self.n_iter_ = len(self.loss_curve_)
        self.best_loss_ = min(self.loss_curve_)
        self.validation_scores_ = scores or None
        self.best_validation_score_ = max(scores, default=None)

    # --- scaling

    def _scale_to(self, rows: Rows, *, afresh: bool) -> None:
        """Fit the scaler to more rows."""
        kind = self.scaling
        if kind == "auto":
            kind = "range" if self.augment else "standard"
        if afresh:
            scalers = {"standard": StandardScaler, "range": MinMaxScaler}
            self.scaler_ = scalers[kind]() if kind else None
        else:
            self.scaler_ = copy.deepcopy(self.scaler_)  # the old one stays as it was
        if isinstance(self.scaler_, MinMaxScaler):
            self.scaler_.partial_fit(rows.x.reshape(-1, 1))
        elif self.scaler_ is not None:
            self.scaler_.partial_fit(rows.x, sample_weight=rows.weights)

    def _scaled(self, x: Array) -> Array:
        """(n, features) as the network sees them."""
        if isinstance(self.scaler_, MinMaxScaler):  # one range for all features
            return np.asarray(self.scaler_.transform(x.reshape(-1, 1))).reshape(x.shape)
        if self.scaler_ is None:
            return x
        near: Array = np.clip(self.scaler_.transform(x), -FARTHEST, FARTHEST)
        return near

    # --- use

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """Scores, not probabilities: (n, features) -> (n, classes), or (n,) where there are two."""
        scores: Array = self._logits(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> Array:  # noqa: N803
        """The likeliest class of each row: (n, features) -> (n,)."""
        winners = np.argmax(self._logits(X), axis=1)  # which looks whether there are classes yet
        labels: Array = self.classes_[winners]
        return labels

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Rows that sum to 1, in the order of `classes_`: (n, features) -> (n, classes)."""
        shares: Array = softmax(self._logits(X))
        return shares

    def predict_log_proba(self, X: Any) -> Array:  # noqa: N803
        """The logarithm of `predict_proba`, finite also where that is 0."""
        logarithms: Array = log_softmax(self._logits(X))
        return logarithms

    def _logits(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        x = validate_data(self, X, dtype=self.params_["w0"].dtype, reset=False)
        return model.logits(self.params_, self._scaled(x))

    def _accuracy(self, params: Params, held: Rows) -> float:
        right = model.predict(params, self._scaled(held.x)) == held.labels
        return float(np.average(right, weights=held.weights))


@contextmanager
def all_or_nothing(estimator: DigitsClassifier) -> Iterator[None]:
    """Should what is done fail, or be interrupted, the estimator stays as it was before."""
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        estimator.__dict__ = before
        raise


def check_settings(estimator: DigitsClassifier) -> None:
    """Raise ValueError, naming the parameter, where one makes no sense.

    >>> check_settings(DigitsClassifier(epochs=0))
    Traceback (most recent call last):
    ...
    ValueError: epochs must be a whole number of 1 or more, got 0
    """
    e = estimator
    _check_kinds(e)
    whole = {"batch_size": e.batch_size, "epochs": e.epochs, "n_iter_no_change": e.n_iter_no_change}
    for name, value in whole.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a whole number of 1 or more, got {value!r}")
    for name in ("warmup", "smoothing", "ema", "validation_fraction"):
        if not 0 <= getattr(e, name) < 1:
            raise ValueError(f"{name} must be in [0, 1), got {getattr(e, name)!r}")
    for name, number in {"weight_decay": e.weight_decay or 0.0, "tol": e.tol}.items():
        if not 0 <= number < np.inf:
            raise ValueError(f"{name} must be 0 or more, got {number!r}")
    if e.rate is not None and not 0 < e.rate < np.inf:
        raise ValueError(f"rate must be positive, or None, got {e.rate!r}")
    if np.ndim(e.hidden) != 1 or not all(isinstance(n, Integral) and n > 0 for n in e.hidden):
        raise ValueError(f"hidden must be the sizes of layers, as (64, 32), got {e.hidden!r}")
    choices: dict[str, tuple[Any, ...]] = {
        "optimizer": tuple(descent.OPTIMIZERS),
        "schedule": tuple(descent.SCHEDULES),
        "scaling": ("auto", "standard", "range", None),
        "backend": (*BACKENDS, None),
        "dtype": (None, *map(np.dtype, ("float32", "float64"))),
    }
    for name, allowed in choices.items():
        if getattr(e, name) not in allowed:
            names = ", ".join(str(choice) for choice in allowed)
            raise ValueError(f"{name} must be one of {names}, got {getattr(e, name)!r}")
    if moves_images(e.augment) and e.scaling not in ("auto", "range"):
        raise ValueError(f"augment=True needs scaling='auto' or 'range', got {e.scaling!r}")


def _check_kinds(e: DigitsClassifier) -> None:
    """Raise ValueError for what is no number, or no truth value, where one is needed."""
    numbers = ("warmup", "smoothing", "ema", "validation_fraction", "tol", "weight_decay", "rate")
    for name in numbers:
        value = getattr(e, name)
        if not isinstance(value, Real) and (name not in numbers[-2:] or value is not None):
            raise ValueError(f"{name} must be a number, got {value!r}")
    for name in ("augment", "early_stopping", "warm_start"):
        value = getattr(e, name)
        if not isinstance(value, bool | np.bool) and not (name == "augment" and callable(value)):
            raise ValueError(f"{name} must be True or False, got {value!r}")


def moves_images(augment: Any) -> bool:
    """Whether that asks for the program's own augmentation, not for a function or none."""
    return bool(augment) and not callable(augment)
