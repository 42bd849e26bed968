"""What a retraining in the studio may be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import keras

from ...checks import check_options, checked_number
from ...retraining.loss import AUTOMATIC
from ...retraining.starting_point import excluded_from_decay, fresh_optimizer
from ...settings import Settings, choice, number, setting

# Names that `keras.optimizers.get` knows, of optimizers that need nothing but a learning rate.
OPTIMIZERS = (
    "adam",
    "adamw",
    "sgd",
    "rmsprop",
    "nadam",
    "adamax",
    "adagrad",
    "adadelta",
    "lion",
)
MOST_SEED = 2**31


def checked_weight(value: Any, name: str) -> float | str:
    """Returns λ, a number from 0 to 1 or `"auto"`; raises ValueError for anything else."""
    if value == AUTOMATIC:
        return AUTOMATIC
    if isinstance(value, str) or not 0 <= checked_number(value, name) <= 1:
        raise ValueError(
            f"`{name}` (λ) must be a number from 0 to 1, or 'auto'. Received: {value!r}."
        )
    return float(value)


def _positive(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if not checked_number(value, name) > 0:
        raise ValueError(f"`{name}` must be above 0. Received: {value!r}.")
    return float(value)


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be true or false. Received: {value!r}.")
    return value


@dataclass(frozen=True)
class RetrainingOptions(Settings):
    """Options of a retraining, checked.

    Args:
        weight: λ, a number from 0 to 1; or `"auto"` for the largest that costs no more than `most_cost`.
        most_cost: Where λ is `"auto"`, the accuracy that it may cost.
        moved_only: Whether moved points alone count in the embedding term.
        epochs: Epochs of either arm.
        batch_size: Samples in a batch.
        optimizer: A name that Keras knows, or None for the classifier's own.
        learning_rate: Of that optimizer, or None for what it has.
        seed: First seed, of the order of batches and of random layers.
        seeds: How many seeds; the classifier of the first can be kept.

    Raises:
        ValueError: If one is out of range.

    Example:
        >>> RetrainingOptions.of({"weight": 0.2, "epochs": 3}).epochs
        3
        >>> RetrainingOptions.of({"weight": 2})
        Traceback (most recent call last):
        ...
        ValueError: `weight` (λ) must be a number from 0 to 1, or 'auto'. Received: 2.
    """

    weight: float | str = field(default=0.1, metadata=setting(checked_weight))
    most_cost: float = field(default=0.01, metadata=number(least=0, below=1))
    moved_only: bool = field(default=False, metadata=setting(_flag))
    epochs: int = field(default=7, metadata=number(least=1, whole=True))
    batch_size: int = field(default=100, metadata=number(least=1, whole=True))
    optimizer: str | None = field(default=None, metadata=choice(None, *OPTIMIZERS))
    learning_rate: float | None = field(default=None, metadata=setting(_positive))
    seed: int = field(default=0, metadata=number(least=0, below=MOST_SEED, whole=True))
    # More seeds go on where fewer ended, so their number decides over no result.
    seeds: int = field(
        default=1,
        metadata=setting(
            lambda value, name: checked_number(value, name, least=1, whole=True), decides=False
        ),
    )

    @classmethod
    def of(cls, options: Mapping[str, Any] | None = None) -> RetrainingOptions:
        """Returns the options that a mapping holds; what it lacks is as by default.

        Raises:
            TypeError: If one is unknown.
            ValueError: If one is out of range.
        """
        given = dict(options or {})
        check_options(cls, given)
        return cls(**given)

    def told(self) -> dict[str, Any]:
        """Returns them as plain data."""
        return asdict(self)

    def optimizer_of(self, own: Any) -> keras.optimizers.Optimizer:
        """Returns a fresh optimizer.

        Args:
            own: The classifier's optimizer, or None where it was not compiled.
        """
        chosen = fresh_optimizer(self.optimizer if self.optimizer is not None else own, None)
        if self.learning_rate is None:
            return chosen
        rated = type(chosen).from_config(
            {**chosen.get_config(), "learning_rate": self.learning_rate}
        )
        for name, value in excluded_from_decay(chosen).items():
            setattr(rated, name, value)
        return rated
