"""Rationales for a data set's rows, by actors with a generator, an encoder and a classifier each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...checks import check_options, quoted
from .actors import Found, Run, applied, begun_here
from .columns import Columns
from .model_source import GivenModel, ModelSource

if TYPE_CHECKING:
    from ray.data import Dataset

Array = NDArray[Any]
# What of a `Rationale` is kept where nothing is named: no pictures of the way, and no codes of the flip.
KEPT = (
    "images",
    "reconstructions",
    "codes",
    "predicted",
    "target",
    "steps",
    "reached",
    "flipped",
    "reconstruction_errors",
    "status",
    "verdicts",
)
# What of it has no row of its own for each image, or is the caller's own column.
_NOT_BY_ROW = ("about", "originals")
_MADE = ("residuals", "distances", "removed", "added", "verdicts", "target_outputs")


def rationales(
    dataset: Dataset,
    generator: GivenModel,
    *,
    encoder: GivenModel,
    classifier: GivenModel,
    column: str | None = None,
    target: int | float | Literal["label"] | None = None,
    label_column: str = "label",
    keep: Sequence[str] = KEPT,
    id_column: str | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    batch_size: int = 64,
    concurrency: int | tuple[int, int] = 1,
    num_gpus: float = 0,
    num_cpus: float | None = None,
    on_error: Literal["raise", "column"] = "raise",
    **settings: Any,
) -> Dataset:
    """Finds a rationale for every image of a Ray data set; each actor loads the three models once.

    Added are `rationales`, the reconstruction less the changed image, and `rationales/<name>` for what else
    is kept. No row looks at another; but a search of many steps makes rounding visible, which may differ with
    the rows in a batch.

    Args:
        dataset: Rows of any number.
        generator: Path or URL of the stored generator, or a function that returns it, as a model in
            `explain`.
        encoder: The same of the encoder.
        classifier: The same of the classifier, of images or of codes.
        column: The column of images `(height, width, channels)` in the generator's range.
        target: The class to change to or the cutoff to reach, the same for all rows; `"label"` for that in
            each row's own column; None for the runner-up, or the cutoff of the settings.
        label_column: The column of targets for `target="label"`.
        keep: What of a `rationale.Rationale` is added, by the names of its attributes.
        id_column: As in `explain`.
        preprocess: As in `explain`; `images.to_range` of what is stored as uint8.
        batch_size: Images that an actor searches for at a time.
        concurrency: As in `explain`.
        num_gpus: As in `explain`.
        num_cpus: As in `explain`.
        on_error: As in `explain`. A constant image, and one that is of the target class already, are errors.
        **settings: The settings of a `rationale.RationaleGenerator`, such as `confidence=0.9`.

    Returns:
        A `ray.data.Dataset`.

    Raises:
        TypeError: As in `explain`; if a setting is unknown.
        ValueError: As in `explain`; if a rationale has no such attribute.

    Example:
        >>> import ray
        >>> def generator():
        ...     import keras
        ...     layers = [keras.layers.Dense(16, activation="sigmoid"), keras.layers.Reshape((4, 4, 1))]
        ...     return keras.Sequential([keras.Input((3,)), *layers])
        >>> def encoder():
        ...     import keras
        ...     layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
        ...     return keras.Sequential([keras.Input((4, 4, 1)), *layers])
        >>> def classifier():
        ...     import keras
        ...     layers = [keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
        ...     return keras.Sequential([keras.Input((4, 4, 1)), *layers])
        >>> rows = ray.data.from_numpy(np.random.default_rng(0).random((3, 4, 4, 1), np.float32))
        >>> models = {"encoder": encoder, "classifier": classifier}
        >>> found = rationales(rows, generator, **models, steps=5, image_range=(0, 1)).take_all()
        >>> found[0]["rationales"].shape, found[0]["rationales/codes"].shape
        ((4, 4, 1), (3,))
    """
    sources = {
        "encoder": ModelSource.of(encoder, "encoder"),  # takes the rows
        "generator": ModelSource.of(generator, "generator"),
        "classifier": ModelSource.of(classifier, "classifier"),
    }
    job = Searching.of(target, keep, settings, batch_size)
    others = {"labels": label_column} if isinstance(target, str) else {}
    columns = Columns(column, others, id_column, preprocess)
    run = Run(batch_size, concurrency, num_cpus, num_gpus, on_error)
    begun_here(sources, job)
    return applied(dataset, sources, job, columns, run)


@dataclass(frozen=True)
class Searching:
    """A search's settings, before there are models."""

    target: Any
    keep: tuple[str, ...]
    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls, target: Any, keep: Sequence[str], settings: Mapping[str, Any], batch_size: int
    ) -> Searching:
        """Returns a job of what the caller gave, checked as far as that needs no model.

        Raises:
            TypeError: If a setting is unknown, or the target is another for each row.
            ValueError: If a rationale has no such attribute.
        """
        from ...rationale import Rationale, RationaleGenerator

        check_options(RationaleGenerator, settings)
        if target is not None and target != "label" and np.ndim(target) + isinstance(target, str):
            raise TypeError(
                f"`target` must be a class, a cutoff, 'label' or None, for all rows. Received: {target!r}."
            )
        known = [each.name for each in fields(Rationale) if each.name not in _NOT_BY_ROW]
        known += _MADE
        unknown = [name for name in keep if name not in known]
        if isinstance(keep, str) or unknown:
            raise ValueError(
                f"`keep` must name attributes of a Rationale, {quoted(known, most=30)}. Received: {keep!r}."
            )
        return cls(target, tuple(keep), {"batch_size": batch_size, **settings})

    @property
    def added(self) -> list[str]:
        """See `Job`."""
        return ["rationales"]

    def begin(self, models: Mapping[str, Any]) -> Callable[..., Found]:
        """See `Job`."""
        from ...rationale import RationaleGenerator

        search = RationaleGenerator(
            models["generator"], models["encoder"], models["classifier"], **self.settings
        )

        def run(inputs: Any, labels: Array | None = None) -> Found:
            found = search(inputs, self.target if labels is None else labels)
            kept = {f"rationales/{name}": np.asarray(getattr(found, name)) for name in self.keep}
            return {"rationales": np.asarray(found.rationales), **kept}

        return run
