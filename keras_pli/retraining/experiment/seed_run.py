"""One seed of an experiment, and its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...brief import brief_repr
from ...intervention import InterventionPlan
from ...stored_result import read_result, write_result

Array = NDArray[Any]
ARMS = ("control", "PLI")
RUNS = ("baseline", *ARMS)
# Arrays that a run may do without.
_OPTIONAL = (
    "train_map",
    "train_targets",
    "train_moved",
    "test_targets",
    "test_moved",
    "test_selected",
)


@dataclass(frozen=True)
class SeedRun:
    """One seed's maps and outputs, before and after retraining.

    Args:
        seed: The seed.
        plan: The plan in words.
        classes_moved: Classes with a training sample that the plan moved.
        train_map: Map of the training samples before retraining, `(samples, components)`; None where no map
            was needed.
        train_targets: The edited map; None where nothing is moved.
        train_moved: Booleans `(samples,)`, or None.
        test_targets: The plan applied to the held-out samples' map; None where it cannot be.
        test_moved: Booleans, or None.
        test_maps: For `"baseline"`, `"control"` and `"PLI"`, the map of the held-out samples, all through
            the baseline's embedder; empty where no map was needed.
        outputs: For the same three, the classifier's outputs, `(samples, classes)`.
        history: For `"control"` and `"PLI"`, what training logged.
        embedding_weight: λ of the arm with the intervention; 0 where the plan moves nothing.
        edited: How many training samples the plan weighed, relabelled and excluded, and how many have no
            label.
        test_selected: Booleans, the held-out samples that the plan's classes and lassos select, or None.
        plan_json: The plan as JSON; None where it holds a function.
    """

    seed: int
    plan: str
    classes_moved: tuple[Any, ...]
    train_map: Array | None
    train_targets: Array | None
    train_moved: Array | None
    test_targets: Array | None
    test_moved: Array | None
    test_maps: dict[str, Array]
    outputs: dict[str, Array]
    history: dict[str, dict[str, list[float]]]
    embedding_weight: float | None = None
    edited: dict[str, int] = field(default_factory=dict)
    test_selected: Array | None = None
    plan_json: str | None = None

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
            "embedding_weight": self.embedding_weight,
            "edited": self.edited,
            "plan_json": self.plan_json,
        }
        optional = {name: getattr(self, name) for name in _OPTIONAL}
        arrays = {
            **{name: values for name, values in optional.items() if values is not None},
            **{f"map_{run}": values for run, values in self.test_maps.items()},
            **{f"outputs_{run}": values for run, values in self.outputs.items()},
        }
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
        outputs, maps = ({run: f"{kind}_{run}" for run in RUNS} for kind in ("outputs", "map"))
        optional = [*_OPTIONAL, *maps.values()]
        arrays, about = read_result(path, cls, [*outputs.values()], optional=optional)
        return cls(
            seed=about["seed"],
            plan=about["plan"],
            plan_json=about.get("plan_json"),
            classes_moved=tuple(about["classes_moved"]),
            embedding_weight=about.get("embedding_weight"),
            edited=about.get("edited", {}),
            history=about["history"],
            **{name: arrays.get(name) for name in _OPTIONAL},
            test_maps={run: arrays[name] for run, name in maps.items() if name in arrays},
            outputs={run: arrays[name] for run, name in outputs.items()},
        )


def stored_plan(plan: InterventionPlan) -> str | None:
    """Returns a plan as JSON, or None where it holds a function, which JSON cannot hold."""
    try:
        return plan.to_json()
    except ValueError:
        return None


def seed_file(folder: Path, seed: int) -> Path:
    """Where a stored experiment keeps a seed's run."""
    return folder / f"seed-{seed}.npz"
