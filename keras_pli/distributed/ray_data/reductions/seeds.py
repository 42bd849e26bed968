"""The model randomisation test over many seeds, which actors share out among them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ....checks import checked_number, one_of
from ....optional import imported
from ..actors import Found, Run, applied
from ..columns import Columns, GivenColumn
from ..explaining import Explaining
from ..model_source import GivenModel, ModelSource

if TYPE_CHECKING:
    from ray.data import Dataset

    from ....attribution import Method
    from ....evaluation import RandomizationResult

Given = Any  # a method's name, its class, or a function from a model to a method


def randomization_test(
    dataset: Dataset,
    model_path: GivenModel,
    method: str | type[Method] | Callable[[Any], Method] | Mapping[str, Given],
    *,
    seeds: int | Iterable[int] = 5,
    samples: int = 64,
    mode: Literal["cascading", "independent"] = "cascading",
    layers: Sequence[str] | None = None,
    threshold: float = 0.5,
    share: float = 0.1,
    within: NDArray[np.bool_] | None = None,
    column: GivenColumn = None,
    target: Any = None,
    label_column: str = "label",
    preprocess: Callable[[Any], Any] | None = None,
    batch_size: int = 64,
    concurrency: int | tuple[int, int] = 1,
    num_gpus: float = 0,
    num_cpus: float | None = None,
    **settings: Any,
) -> RandomizationResult:
    """Runs `evaluation.model_randomization_test` over many seeds, which actors share out among them.

    All actors explain the same samples, the first of the data set. What one seed finds does not depend on
    the others, and is what a local call with that seed finds; so are table and verdicts.

    Args:
        dataset: Rows, the first of which are explained.
        model_path: As in `explain`.
        method: As in `explain`; or several of these by name.
        seeds: Number of randomisations, counted from 0, or their seeds.
        samples: How many rows are explained; a few dozen suffice, and all fit into memory.
        mode: As in `evaluation.model_randomization_test`.
        layers: Paths of layers, as there.
        threshold: As there.
        share: As there.
        within: As there.
        column: As in `explain`.
        target: As in `explain`.
        label_column: As in `explain`.
        preprocess: As in `explain`.
        batch_size: Rows that run through the model at a time.
        concurrency: As in `explain`.
        num_gpus: As in `explain`.
        num_cpus: As in `explain`.
        **settings: The method's settings, as in `explain`; of several methods they are made by functions.

    Returns:
        A `evaluation.RandomizationResult`; it runs at once.

    Raises:
        TypeError: As in `explain`.
        ValueError: As in `explain` and in `evaluation.model_randomization_test`.

    Example:
        >>> import ray
        >>> def classifier():
        ...     import keras
        ...     keras.utils.set_random_seed(0)
        ...     layers = [keras.layers.Dense(32, "relu"), keras.layers.Dense(2)]
        ...     return keras.Sequential([keras.Input((6,)), *layers])
        >>> rows = ray.data.from_numpy(np.random.default_rng(0).normal(size=(10, 6)))
        >>> result = randomization_test(rows, classifier, "saliency", seeds=3, target=0)
        >>> sorted(result.verdicts), result.table.empty
        (['saliency'], False)
    """
    from ....evaluation.randomization import model_result
    from ....evaluation.randomization_result import check_ranges, checked_seeds

    data = imported("ray.data", "Work on a cluster", extra="ray")
    one_of(mode, ("cascading", "independent"), "mode")
    check_ranges(threshold=threshold, share=share)
    checked_number(samples, "samples", least=1, whole=True)
    numbers = checked_seeds(seeds)
    source = ModelSource.of(model_path, "model_path")
    methods = _methods(method, settings, target, batch_size)
    for explaining in methods.values():
        explaining.check(source)
    others = {"labels": label_column} if isinstance(target, str) else {}
    given = Columns(column, others, None, preprocess)
    x, labels = _first(dataset, given, samples)
    options = {"mode": mode, "layers": layers, "share": share, "within": within}
    job = Seeds(methods, x, target if labels is None else labels, options)
    following = [*numbers[1:], max(numbers) + 1]
    pairs = [{_SEED: seed, _NEXT: after} for seed, after in zip(numbers, following, strict=True)]
    rows = data.from_items(pairs, override_num_blocks=len(pairs))
    columns = Columns(_SEED, {_NEXT: _NEXT})
    run = Run(1, concurrency, num_cpus, num_gpus)
    found = applied(rows, {"model": source}, job, columns, run).take_all()
    similar, references = (
        [row for one in found for row in json.loads(one[name])] for name in _FOUND
    )
    return model_result(similar, references, threshold)


_SEED, _NEXT = "seed", "following"
_FOUND = ("similar", "references")


@dataclass(frozen=True)
class Seeds:
    """Randomisations of a model, a `Job` of actors, whose rows are seeds.

    Args:
        methods: What explains, by name.
        x: The samples that are explained.
        target: What of them.
        options: Of `Rounds.of`.
    """

    methods: Mapping[str, Explaining]
    x: Any
    target: Any
    options: Mapping[str, Any]

    @property
    def added(self) -> Sequence[str]:
        """See `Job`."""
        return _FOUND

    def begin(self, models: Mapping[str, Any]) -> Callable[..., Found]:
        """See `Job`."""
        from ....evaluation.randomization_rounds import Rounds

        factories = {name: explaining.made for name, explaining in self.methods.items()}
        rounds = Rounds.of(factories, models["model"], self.x, self.target, **self.options)

        def run(inputs: NDArray[Any], following: NDArray[Any]) -> Found:
            similar, references = [], []
            for seed, after in zip(inputs.tolist(), following.tolist(), strict=True):
                similar.append([row for step in rounds.steps(seed) for row in step])
                maps = (rounds.random_maps(number) for number in (seed, after))
                references.append(rounds.alike(*maps))
            # As text: Python writes floats so that they are read back as they were.
            return {
                name: np.array([json.dumps(rows) for rows in found])
                for name, found in zip(_FOUND, (similar, references), strict=True)
            }

        return run


def _methods(
    method: Any, settings: Mapping[str, Any], target: Any, batch_size: int
) -> dict[str, Explaining]:
    """Methods by name, each before there is a model."""
    from ....attribution import find_method
    from ....evaluation.explainers import named_factories

    if isinstance(method, Mapping):
        if settings:
            raise TypeError(
                "Several methods are made with their settings by functions. Received further settings: "
                f"{', '.join(map(repr, settings))}."
            )
        return {
            name: Explaining.of(one, {}, target=target, batch_size=batch_size)
            for name, one in method.items()
        }
    explaining = Explaining.of(method, settings, target=target, batch_size=batch_size)
    if explaining.call:
        raise TypeError(
            "A randomisation test explains with a method's own baseline, and takes no `baseline`."
        )
    kind = find_method(method) if isinstance(method, str) else method
    return dict.fromkeys(named_factories(kind), explaining)


def _first(dataset: Any, columns: Columns, samples: int) -> tuple[Any, NDArray[Any] | None]:
    """The first inputs of a data set, and their labels where those are read."""
    data = imported("ray.data", "Work on a cluster", extra="ray")
    if not isinstance(dataset, data.Dataset):
        raise TypeError(
            f"`dataset` must be a ray.data.Dataset. Received: {type(dataset).__name__}."
        )
    table = dataset.limit(samples).take_batch(samples, batch_format="pyarrow")
    columns.check(table.column_names)
    rows = columns.read(table)
    return columns.model_inputs(rows.inputs), rows.others.get("labels")
