"""An experiment in a folder: what it depends on, one writer at a time, a file for each seed that is done."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from ...identity import identity_digest, value_identity
from ...intervention import InterventionPlan
from ...locks import one_writer
from ...parts import digest
from ...version import __version__
from ..starting_point import excluded_from_decay
from .result import ExperimentResult
from .seed_run import SeedRun, seed_file

_ABSENT = object()


def experiment_identity(
    classifier: Any, train: Any, test: Any, *, plan: Any, optimizer: Any, **settings: Any
) -> dict[str, Any]:
    """Returns all that an experiment's seeds depend on, by name and in a form for JSON.

    Args:
        classifier: A model, or a function that makes one.
        train: Inputs and labels, as checked.
        test: Likewise, held out.
        plan: A plan, or a function that makes one.
        optimizer: An optimizer of the settings that are used.
        **settings: Everything else; models, functions and arrays are told by digests.
    """
    trained = getattr(classifier, "trainable_variables", None)
    return {
        **{f"classifier.{what}": told for what, told in _of_source(classifier).items()},
        "classifier.trainable": None if trained is None else _which(trained, classifier),
        **{f"embedder.{what}": told for what, told in _of_source(settings.pop("embedder")).items()},
        "plan": _told_plan(plan),
        **{f"optimizer.{name}": told for name, told in _told_optimizer(optimizer).items()},
        **{name: value_identity(value) for name, value in settings.items()},
        "training inputs": digest(*keras.tree.flatten(train[0])),
        "training labels": digest(train[1]),
        "held-out inputs": digest(*keras.tree.flatten(test[0])),
        "held-out labels": digest(test[1]),
        "keras_pli": __version__,
    }


class StoredExperiment:
    """What is there of an experiment, in a folder or, without one, in memory; made by `storing`."""

    def __init__(self, folder: Path | None, result: ExperimentResult) -> None:
        self.folder, self.result = folder, result

    def add(self, run: SeedRun) -> None:
        """Stores one more seed; the first one claims the folder."""
        if self.folder is not None:
            if not self.result.runs:
                self.result.save(self.folder)
            run.save(seed_file(self.folder, run.seed))
        self.result = self.result.with_run(run)


@contextmanager
def storing(folder: str | Path | None, fresh: ExperimentResult) -> Iterator[StoredExperiment]:
    """Yields an experiment with the seeds that a folder holds of it, while no other process may write there.

    A damaged seed is warned of, and done again.

    Args:
        folder: Where it is, or will be as soon as a seed is done; None to keep it in memory.
        fresh: The experiment as it is asked for, without seeds.

    Raises:
        ValueError: If the folder holds an experiment that depends on something else, or its head is damaged.
        RuntimeError: If another process is writing there.
    """
    if folder is None:
        yield StoredExperiment(None, fresh)
        return
    folder = Path(folder)
    _check(folder, fresh)  # before a folder is made
    with one_writer(folder, "experiment"):
        _check(folder, fresh)
        runs = []
        for file in ExperimentResult.seed_files(folder):
            try:
                runs.append(SeedRun.load(file))
            except ValueError as error:
                warnings.warn(f"{error} The seed is done again.", stacklevel=4)
        if runs:  # names of classes and groups may be others now
            fresh.save(folder)
        yield StoredExperiment(folder, replace(fresh, runs=tuple(runs)))


def _check(folder: Path, fresh: ExperimentResult) -> None:
    """Raises a `ValueError` if a folder holds seeds of another experiment."""
    if not ExperimentResult.seed_files(folder):
        return
    stored = ExperimentResult.load_head(folder)
    wanted: Mapping[str, Any] = json.loads(json.dumps(fresh.identity))  # as it is read back
    every = {**stored.identity, **wanted}
    differing = [
        name for name in every if stored.identity.get(name, _ABSENT) != wanted.get(name, _ABSENT)
    ]
    if differing:
        was, now = ({name: of.get(name) for name in differing} for of in (stored.identity, wanted))
        raise ValueError(
            f"{folder} holds an experiment that differs in {', '.join(differing)}: there {was}, here {now}. "
            "Choose another folder, or remove it."
        )


def _which(trained: Any, classifier: keras.Model) -> str:
    """Which of a classifier's weights are trained, since its identity does not tell that."""
    places = {id(variable): place for place, variable in enumerate(classifier.variables)}
    return ", ".join(str(places[id(variable)]) for variable in trained)


def _of_source(source: Any) -> dict[str, Any]:
    """What tells a model from others, or a function that makes it."""
    told = value_identity(source)
    return told if isinstance(told, dict) else {"source": told}


def _told_plan(plan: Any) -> Any:
    if not isinstance(plan, InterventionPlan):
        return value_identity(plan)
    return f"{plan!r} {identity_digest(list(plan))}"


def _told_optimizer(optimizer: Any) -> dict[str, Any]:
    """An optimizer's settings; a plain value where JSON has one, so that an error can show it."""
    config = {name: value for name, value in optimizer.get_config().items() if name != "name"}
    spared = excluded_from_decay(optimizer).get("_exclude_from_weight_decay_pattern")
    return {"class": type(optimizer).__name__, **value_identity({**config, "spared": spared})}
