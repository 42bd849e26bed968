"""One seed of an experiment, and its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..brief import brief_repr
from ..stored_result import read_result, write_result

Array = NDArray[Any]
ARMS = ("control", "PLI")
RUNS = ("baseline", *ARMS)


@dataclass(frozen=True)
class SeedRun:
    """One seed's maps and outputs, before and after retraining.

    Args:
        seed: The seed.
        plan: The plan in words.
        classes_moved: Classes with a training sample that the plan moved.
        train_map: Map of the training samples before retraining, `(samples, components)`.
        train_targets: The edited map.
        train_moved: Booleans `(samples,)`.
        test_targets: The plan applied to the held-out samples' map; None where it cannot be.
        test_moved: Booleans, or None.
        test_maps: For `"baseline"`, `"control"` and `"PLI"`, the map of the held-out samples, all through
            the baseline's embedder.
        outputs: For the same three, the classifier's outputs, `(samples, classes)`.
        history: For `"control"` and `"PLI"`, what training logged.
    """

    seed: int
    plan: str
    classes_moved: tuple[Any, ...]
    train_map: Array
    train_targets: Array
    train_moved: Array
    test_targets: Array | None
    test_moved: Array | None
    test_maps: dict[str, Array]
    outputs: dict[str, Array]
    history: dict[str, dict[str, list[float]]]

    __repr__ = brief_repr

    def predicted(self, run: str) -> Array:
        """The classes that the classifier of a run decides for."""
        return np.asarray(self.outputs[run].argmax(axis=1))

    def save(self, path: Path) -> None:
        """Writes everything to one `.npz`, without pickles."""
        about = {
            "seed": self.seed,
            "plan": self.plan,
            "classes_moved": [int(label) for label in self.classes_moved],
            "history": self.history,
        }
        arrays = {
            "train_map": self.train_map,
            "train_targets": self.train_targets,
            "train_moved": self.train_moved,
            **{f"map_{run}": values for run, values in self.test_maps.items()},
            **{f"outputs_{run}": values for run, values in self.outputs.items()},
        }
        if self.test_targets is not None and self.test_moved is not None:
            arrays |= {"test_targets": self.test_targets, "test_moved": self.test_moved}
        write_result(path, SeedRun, arrays, about)

    @classmethod
    def load(cls, path: Path) -> SeedRun:
        """Reads what `save` wrote.

        Raises:
            ValueError: If the file is damaged or of another kind.
        """
        try:
            return cls._read(path)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error!r}.") from error

    @classmethod
    def _read(cls, path: Path) -> SeedRun:
        by_run = [f"{kind}_{run}" for kind in ("map", "outputs") for run in RUNS]
        names = ["train_map", "train_targets", "train_moved", *by_run]
        arrays, about = read_result(path, cls, names, optional=["test_targets", "test_moved"])
        return cls(
            seed=about["seed"],
            plan=about["plan"],
            classes_moved=tuple(about["classes_moved"]),
            history=about["history"],
            train_map=arrays["train_map"],
            train_targets=arrays["train_targets"],
            train_moved=arrays["train_moved"],
            test_targets=arrays.get("test_targets"),
            test_moved=arrays.get("test_moved"),
            test_maps={run: arrays[f"map_{run}"] for run in RUNS},
            outputs={run: arrays[f"outputs_{run}"] for run in RUNS},
        )


def seed_file(folder: Path, seed: int) -> Path:
    """Where a stored experiment keeps a seed's run."""
    return folder / f"seed-{seed}.npz"
