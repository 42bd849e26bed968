"""The retraining of a session's classifier by its plan, beside the matched control, told of as it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from ...files import atomic_path
from ...identity import identity_digest
from ...intervention import InterventionPlan
from ...retraining import pli_experiment
from ...retraining.data import Inputs
from ...retraining.experiment.seed_run import ARMS, seed_file
from ...retraining.experiment.seed_training import FINDING_WEIGHT
from ...retraining.experiment.stored_experiment import experiment_identity
from ...retraining.loss import AUTOMATIC
from .onlooker import EpochEvents, Onlooker
from .progress import BatchProgress, Progress
from .retraining_options import RetrainingOptions
from .retraining_result import (
    EXPERIMENT,
    PLAN,
    RetrainingResult,
    classifier_file,
    finish,
    is_whole,
    remove_unfinished,
    seeds_of,
    write_map,
)
from .unfinished import note_begun

Data = tuple[Inputs, NDArray[Any]]
# Trainings by which λ is found: one without the plan, and three or four with it.
SEARCHES = 5
WORDS = {"control": "Training without the plan, as a control", "PLI": "Training with the plan"}


def retrain(
    progress: Progress,
    options: RetrainingOptions,
    *,
    classifier: keras.Model,
    train: Data,
    test: Data,
    plan: InterventionPlan,
    embedder: keras.Model,
    layer: str,
    folder: Path,
    loss: Any = None,
    optimizer: Any = None,
    class_names: Any = None,
) -> RetrainingResult:
    """Retrains as `pli_experiment` does, and leaves all that a page compares in a folder.

    What it makes lies in a folder of its own within `folder`, named by all that it depends on. Called again
    after it was stopped, or its process killed, it keeps the seeds that are done and begins the next one
    anew; a retraining by another plan or other settings has another folder. An earlier one that is finished
    stays until this one is.

    Args:
        progress: Of the job; an event "epoch" is published after each epoch of each arm (see `EpochEvents`).
        options: λ, epochs and the like.
        classifier: A copy of the classifier, whose weights are given back.
        train: Inputs and labels of the training samples, -1 for one without.
        test: Inputs and labels of held-out samples.
        plan: The changes in force.
        embedder: The frozen map.
        layer: The layer that it maps.
        folder: Where the retrainings of a round lie.
        loss: Classification loss; None for the one that the classifier was compiled with.
        optimizer: Optimizer whose settings are used where the options name none.
        class_names: Names of the classes.

    Returns:
        The finished retraining.

    Raises:
        Stopped: If the job was stopped, within a batch.
        ValueError: If the plan holds no change or does not fit, or the training diverges.
        RuntimeError: If another process retrains in the same folder.
    """
    check_changes(plan)
    own = optimizer if optimizer is not None else getattr(classifier, "optimizer", None)
    chosen = options.optimizer_of(own)
    # Whatever decides over the result, so that none is ever taken for another's.
    depends_on = experiment_identity(
        classifier,
        train,
        test,
        plan=plan,
        optimizer=chosen,
        embedder=embedder,
        layer=layer,
        loss=loss if loss is not None else getattr(classifier, "loss", None),
        options={**options.identity(), "optimizer": None, "learning_rate": None},
    )
    own_folder = folder / identity_digest(depends_on)
    remove_unfinished(folder, but=own_folder)
    if not is_whole(own_folder):  # a seed that is done is not trained again
        seed_file(own_folder / EXPERIMENT, options.seed).unlink(missing_ok=True)
    progress.check()
    plan.to_json(own_folder / PLAN)
    note_begun(own_folder, options)
    progress.report("Reading the layer's activations", 0.0)
    watched = _Watched(
        progress, options, plan, Onlooker(classifier, embedder, layer, train, test), own_folder
    )
    pli_experiment(
        classifier,
        train,
        test,
        plan,
        layer=layer,
        embedder=embedder,
        embedding_weight=options.weight,
        most_cost=options.most_cost,
        moved_only=options.moved_only,
        loss=loss,
        optimizer=chosen,
        epochs=options.epochs,
        batch_size=options.batch_size,
        seeds=seeds_of(options),
        class_names=class_names,
        out=own_folder / EXPERIMENT,
        on_trained=watched.keep,
        callbacks=watched.callbacks,
        verbose=0,
    )
    return finish(own_folder, options)


def check_changes(plan: InterventionPlan) -> None:
    """Raises a `ValueError` for a plan that holds no change."""
    if not len(plan):
        raise ValueError(
            "There is nothing to train: the plan holds no change that is on. Move, weigh, relabel or exclude "
            "some points first."
        )


class _Watched:
    """The callbacks of an experiment's trainings, and what is kept of each."""

    def __init__(
        self,
        progress: Progress,
        options: RetrainingOptions,
        plan: InterventionPlan,
        onlooker: Onlooker,
        folder: Path,
    ) -> None:
        self._progress, self._options = progress, options
        self._onlooker, self._folder = onlooker, folder
        searches = SEARCHES if options.weight == AUTOMATIC and plan.moves else 0
        # In units of one training: when each begins within a seed, and how many there are.
        self._begins = {FINDING_WEIGHT: 0, "control": searches, "PLI": searches + 1}
        self._trainings = searches + len(ARMS)
        self._events: EpochEvents | None = None

    def callbacks(self, seed: int, arm: str) -> list[keras.callbacks.Callback]:
        """What watches one training, or all by which λ is found."""
        before = (seed - self._options.seed) * self._trainings + self._begins[arm]
        unit = 1 / (self._trainings * self._options.seeds)
        of_seed = f" (seed {seed})" if self._options.seeds > 1 else ""
        if arm == FINDING_WEIGHT:
            return [
                BatchProgress(
                    self._progress,
                    lambda model: _searching(of_seed, model),
                    start=before * unit,
                    end=(before + SEARCHES) * unit,
                    trainings=SEARCHES,
                )
            ]
        self._events = EpochEvents(self._onlooker, self._progress, seed=seed, arm=arm)
        said = BatchProgress(
            self._progress,
            lambda model: _training(arm, of_seed, model),
            start=before * unit,
            end=(before + 1) * unit,
        )
        return [said, self._events]

    def keep(self, seed: int, arm: str, trained: keras.Model) -> None:
        """Stores classifier and map of the first seed."""
        if seed != self._options.seed:
            return
        assert self._events is not None
        last = self._events.last if self._onlooker.rows is None else None
        positions = self._onlooker.map(self._progress) if last is None else last
        with atomic_path(classifier_file(self._folder, arm)) as temporary:
            trained.save(temporary)
        write_map(self._folder, arm, positions)


def _training(arm: str, of_seed: str, model: keras.Model) -> str:
    """Says λ, too, which may have been found just now."""
    weight = model.loss_function.embedding_weight
    return f"{WORDS[arm]}{f' (λ = {weight:g})' if weight else ''}{of_seed}"


def _searching(of_seed: str, model: keras.Model) -> str:
    """Says which λ is tried."""
    weight = model.loss_function.embedding_weight
    tried = f"trying {weight:g} on a part of the samples" if weight else "without the plan first"
    return f"Looking for λ{of_seed}: {tried}"
