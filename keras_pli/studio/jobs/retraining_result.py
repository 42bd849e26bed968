"""What a retraining left behind, in its folder: both classifiers, the maps, the experiment, the plan."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...brief import brief_repr
from ...files import read_arrays, read_json, write_arrays, write_json
from ...intervention import InterventionPlan
from ...retraining import ExperimentResult
from ...retraining.experiment.seed_run import ARMS
from .retraining_options import RetrainingOptions

FORMAT = "keras_pli.RetrainingResult"
# Where, in the folder of a round, its retrainings lie.
RETRAINING = "retraining"
EXPERIMENT, NOTE, PLAN, REPORT = "experiment", "retraining.json", "plan.json", "report.html"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RetrainingResult:
    """A retraining that is finished, beside its control.

    Args:
        folder: Where it lies.
        options: What it was told.
        result: The experiment.
        classifiers: For `"control"` and `"PLI"` the classifier's file, of the first seed.
        maps: Positions of the training samples, float32 `(samples, 2)`, of the first seed and through one
            map: `"baseline"`, `"asked"` where its plan moves points, `"control"` and `"PLI"`.
    """

    folder: Path
    options: RetrainingOptions
    result: ExperimentResult
    classifiers: Mapping[str, Path]
    maps: Mapping[str, NDArray[np.float32]]

    __repr__ = brief_repr

    @classmethod
    def load(cls, folder: Path) -> RetrainingResult:
        """Reads a finished retraining.

        Raises:
            ValueError: If there is none, or a file is damaged or missing.
        """
        try:
            note = read_json(folder / NOTE)
        except FileNotFoundError as error:
            raise ValueError(f"{folder} holds no finished retraining.") from error
        if note.get("format") != FORMAT:
            raise ValueError(f"{folder / NOTE} is damaged: its format is {note.get('format')!r}.")
        options = RetrainingOptions.of(note.get("options"))
        result = ExperimentResult.load(folder / EXPERIMENT).only(seeds_of(options))
        files = {arm: classifier_file(folder, arm) for arm in ARMS}
        if lacking := [file.name for file in files.values() if not file.exists()]:
            raise ValueError(f"{folder} lacks {' and '.join(lacking)}.")
        run = result.run_of(options.seed)
        maps = {"baseline": run.train_map, "asked": run.train_targets}
        for arm in ARMS:
            maps[arm] = read_map(folder, arm)
        return cls(
            folder,
            options,
            result,
            files,
            {name: positions for name, positions in maps.items() if positions is not None},
        )

    @property
    def plan(self) -> InterventionPlan:
        """The plan that was trained; that of the session may be another by now."""
        return InterventionPlan.load(self.folder / PLAN)

    def write_report(self, images: Any = None) -> Path:
        """Writes the experiment's page into the folder, once, and returns its path.

        Args:
            images: The held-out inputs, to show those that changed where they are images.
        """
        path = self.folder / REPORT
        if not path.exists():
            self.result.to_html(path, images=images, seed=self.options.seed)
        return path


def finish(folder: Path, options: RetrainingOptions) -> RetrainingResult:
    """Marks a retraining as finished, removes all others beside it, and returns it."""
    write_json(folder / NOTE, {"format": FORMAT, "options": options.told()})
    for other in folder.parent.iterdir():
        if other.is_dir() and other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return RetrainingResult.load(folder)


def finished(parent: Path) -> RetrainingResult | None:
    """Returns the finished retraining that waits in a folder to be kept or discarded, or None.

    One that is damaged counts for none; the log says why.
    """
    for _, folder in _finished_folders(parent):
        try:
            if is_whole(folder):
                return loaded(folder)
            _log.warning("The retraining in %s lacks a classifier or a map.", folder)
        except (ValueError, TypeError, OSError) as error:
            _log.warning("The retraining in %s cannot be shown: %s", folder, error)
    return None


def remove_unfinished(parent: Path, *, but: Path) -> None:
    """Removes what retrainings by other plans or settings left that were stopped."""
    for other in parent.glob("*/"):
        if other.is_dir() and other != but and not (other / NOTE).exists():
            shutil.rmtree(other, ignore_errors=True)


def discard(parent: Path) -> None:
    """Removes all retrainings in a folder."""
    shutil.rmtree(parent, ignore_errors=True)


def classifier_file(folder: Path, arm: str) -> Path:
    """Where a retraining keeps the classifier of an arm."""
    return folder / f"classifier-{arm.lower()}.keras"


def write_map(folder: Path, arm: str, positions: NDArray[np.float32]) -> None:
    """Stores where an arm's training samples are on the map."""
    write_arrays(_map_file(folder, arm), {"map": positions})


def read_map(folder: Path, arm: str) -> NDArray[np.float32]:
    """Returns what `write_map` stored; raises ValueError if it is damaged or missing."""
    try:
        return read_arrays(_map_file(folder, arm))["map"]
    except (FileNotFoundError, KeyError) as error:
        raise ValueError(f"{_map_file(folder, arm)} is missing or damaged.") from error


def is_whole(folder: Path) -> bool:
    """Whether a retraining's folder holds classifiers and maps of both arms."""
    files = [
        file for arm in ARMS for file in (classifier_file(folder, arm), _map_file(folder, arm))
    ]
    return all(file.exists() for file in files)


def seeds_of(options: RetrainingOptions) -> list[int]:
    """The seeds of a retraining."""
    return list(range(options.seed, options.seed + options.seeds))


def loaded(folder: Path) -> RetrainingResult:
    """Returns a finished retraining, read once for as long as its note stays the same.

    Raises:
        ValueError: If there is none, or a file is damaged or missing.
    """
    try:
        changed = (folder / NOTE).stat().st_mtime_ns
    except FileNotFoundError as error:
        raise ValueError(f"{folder} holds no finished retraining.") from error
    return _loaded(folder.resolve(), changed)


@lru_cache(maxsize=2)  # one that waits, and one that made a round
def _loaded(folder: Path, changed: int) -> RetrainingResult:
    """A page asks for its sentence, its maps and its report one after the other."""
    return RetrainingResult.load(folder)


def _finished_folders(parent: Path) -> list[tuple[int, Path]]:
    """When each was finished and where it lies, the last one first."""
    found = []
    for note in parent.glob(f"*/{NOTE}"):
        with suppress(FileNotFoundError):  # it is removed just now
            found.append((note.stat().st_mtime_ns, note.parent))
    return sorted(found, reverse=True)


def _map_file(folder: Path, arm: str) -> Path:
    return folder / f"map-{arm.lower()}.npz"
