"""What an experiment found: tables, the responses, the verdict, and how they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ...checks import one_of, quoted
from ...files import read_arrays, read_json, write_arrays, write_json, write_text
from ...intervals import mean_interval
from .advice import advice
from .page.tables import groups_first
from .response import SCORES, embedding_response, performance_response
from .seed_run import ARMS, RUNS, SeedRun, seed_file
from .subgroups import WORST, paired_effects, subgroup_accuracies
from .verdict import answer, verdict

Array = NDArray[Any]
FORMAT = "keras_pli.ExperimentResult"
# The settings that a repr tells.
_TOLD = ("layer", "embedding_weight", "moved_only", "scale", "epochs", "batch_size")


@dataclass(frozen=True)
class ExperimentResult:
    """What `pli_experiment` found, over all of its seeds.

    Every figure is of held-out samples. Intervals are Student's t over seeds at 95 %; with a single seed
    there is none.

    Args:
        labels: Classes of the held-out samples.
        train_labels: Classes of the training samples.
        about: Settings.
        class_names: Names of the classes 0, 1, …, or None.
        groups: Groups of classes to average over; None for the moved ones and the others.
        runs: One `SeedRun` for each seed.
        identity: What the seeds depend on, by name, to tell a stored experiment from others.
        subgroups: A group for each held-out sample, or None.
    """

    labels: Array
    train_labels: Array
    about: Mapping[str, Any]
    class_names: Sequence[str] | None = None
    groups: Mapping[str, Sequence[Any]] | None = None
    runs: tuple[SeedRun, ...] = ()
    identity: Mapping[str, Any] = field(default_factory=dict)
    subgroups: Array | None = None

    @property
    def seeds(self) -> list[int]:
        """The seeds that have run."""
        return [run.seed for run in self.runs]

    @property
    def moved_classes(self) -> list[Any]:
        """Classes that some seed's plan moved."""
        labels = {label for run in self.runs for label in run.classes_moved}
        return sorted(label for label in labels if label >= 0)

    @property
    def averaged_groups(self) -> dict[str, list[Any]]:
        """The groups of classes averaged over."""
        if self.groups is not None:
            return {name: list(members) for name, members in self.groups.items()}
        moved = self.moved_classes
        others = [label for label in self._classes() if label not in moved]
        split = {"moved": moved, "other": others} if moved and others else {"all": self._classes()}
        names = {self.name_of(label) for label in self._classes()}
        return {f"({name})" if name in names else name: part for name, part in split.items()}

    def name_of(self, label: Any) -> str:
        """A class's name, or its label where there are no names."""
        return str(label) if self.class_names is None else str(self.class_names[int(label)])

    def run_of(self, seed: int | None = None) -> SeedRun:
        """The run of a seed, by default of the first.

        Raises:
            ValueError: If that seed has not run.
        """
        if not self.runs:
            raise ValueError("The experiment has no finished seed.")
        return self.runs[
            self.seeds.index(one_of(self.seeds[0] if seed is None else seed, self.seeds, "seed"))
        ]

    def scores(self) -> pd.DataFrame:
        """Precision, recall and F1 of every seed, run, class and group.

        Returns:
            Columns `seed`, `run` (`"baseline"`, `"control"`, `"PLI"`), `name`, `kind` (`"class"` or
            `"group"`), `precision`, `recall`, `f1`, `support`.
        """
        return self._scores.copy()

    @cached_property
    def _scores(self) -> pd.DataFrame:
        tables = []
        for run in self.runs:
            for arm in RUNS:
                table = performance_response(
                    self.labels,
                    run.predicted(arm),
                    classes=self._classes(),
                    groups=self.averaged_groups,
                )
                of_class = table["kind"] == "class"
                table.loc[of_class, "name"] = [self.name_of(n) for n in table.loc[of_class, "name"]]
                table.insert(0, "run", arm)
                table.insert(0, "seed", run.seed)
                tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """Means over seeds with their intervals; a baseline that is the same for all seeds has none.

        Returns:
            Columns `run`, `name`, `kind`, `metric`, `mean`, `low`, `high`.
        """
        return self._summary.copy()

    @cached_property
    def _summary(self) -> pd.DataFrame:
        tidy = self.scores().melt(
            id_vars=["seed", "run", "name", "kind"], value_vars=list(SCORES), var_name="metric"
        )
        rows = []
        for keys, part in tidy.groupby(["metric", "run", "name", "kind"], sort=False):
            names = dict(zip(("metric", "run", "name", "kind"), keys, strict=True))
            values = part["value"]
            # A classifier that was given is one, however many seeds retrain it.
            one = names["run"] == "baseline" and values.nunique() == 1
            mean, low, high = mean_interval(values.iloc[:1] if one else values)
            rows.append({**names, "mean": mean, "low": low, "high": high})
        return pd.DataFrame(rows)

    def table(self) -> pd.DataFrame:
        """The paper's Table 1: a column for each group and class, a row for each metric and run.

        Groups come first, such as the moved classes and the others.

        Returns:
            A data frame of texts, mean ± half the interval.
        """
        summary = self.summary()
        half = (summary["high"] - summary["low"]) / 2
        summary["text"] = [
            f"{mean:.3f}" if np.isnan(h) else f"{mean:.3f} ± {h:.3f}"
            for mean, h in zip(summary["mean"], half, strict=True)
        ]
        wide = summary.pivot(index=["metric", "run"], columns="name", values="text")
        order = pd.MultiIndex.from_product([SCORES, RUNS], names=["metric", "run"])
        return wide.reindex(index=order, columns=list(dict.fromkeys(groups_first(summary)["name"])))

    def differences(self, metric: str = "f1") -> pd.DataFrame:
        """PLI less control of the same seed.

        Args:
            metric: `"precision"`, `"recall"` or `"f1"`.

        Returns:
            Columns `name`, `kind`, `seed`, `difference`.

        Raises:
            ValueError: If the metric is another.
        """
        one_of(metric, SCORES, "metric")
        runs = self.scores().set_index(["name", "kind", "seed"])
        of_pli, of_control = (runs.loc[runs["run"] == run, metric] for run in ("PLI", "control"))
        return (of_pli - of_control).rename("difference").reset_index()

    def effects(self, metric: str = "f1") -> pd.DataFrame:
        """Mean paired differences with their intervals.

        Args:
            metric: As in `differences`.

        Returns:
            Columns `name`, `kind`, `mean`, `low`, `high`, and `wins`, the seeds in which PLI was better.
        """
        rows = []
        for keys, part in self.differences(metric).groupby(["name", "kind"], sort=False):
            mean, low, high = mean_interval(part["difference"])
            wins = int((part["difference"] > 0).sum())
            rows.append(
                {
                    "name": keys[0],
                    "kind": keys[1],
                    "mean": mean,
                    "low": low,
                    "high": high,
                    "wins": wins,
                }
            )
        return pd.DataFrame(rows)

    def subgroup_scores(self) -> pd.DataFrame:
        """Accuracy of groups of held-out samples, and of the worst of them.

        The groups are those given to the experiment; without, the samples that the plan's classes and lassos
        select and the others.

        Returns:
            Columns `seed`, `run`, `group`, `accuracy`, `support`, with a last row `"worst"` for each seed and
            run; empty where there are no groups.
        """
        tables = [
            subgroup_accuracies(self.labels, run.predicted(arm), groups).assign(
                seed=run.seed, run=arm
            )
            for run in self.runs
            if (groups := self._groups_of(run)) is not None
            for arm in RUNS
        ]
        columns = ["seed", "run", "group", "accuracy", "support"]
        return (
            pd.concat(tables, ignore_index=True)[columns]
            if tables
            else pd.DataFrame([], columns=columns)
        )

    def subgroup_effects(self) -> pd.DataFrame:
        """Mean paired differences in the accuracy of groups of held-out samples, with their intervals.

        Returns:
            Columns `group`, `control`, `PLI` (mean accuracies), `mean`, `low`, `high` (PLI less control) and
            `wins`, the seeds in which PLI was better; the worst group comes last.
        """
        return paired_effects(self.subgroup_scores())

    def _groups_of(self, run: SeedRun) -> Array | None:
        if self.subgroups is not None:
            return self.subgroups
        if run.test_selected is None or run.test_selected.all():
            return None
        return np.where(run.test_selected, "selected", "other")

    def response(self) -> pd.DataFrame:
        """The embedding response of each seed and arm on held-out samples (see `embedding_response`).

        Seeds whose plan names single training points are left out: it asks nothing of other samples. So are
        those whose plan names a class, or encloses a region, that no held-out sample is in.

        Returns:
            Columns `seed`, `run`, `achieved`, `missed`, `drift`, `separation`.
        """
        return self._response.copy()

    @cached_property
    def _response(self) -> pd.DataFrame:
        rows = []
        for run in self.runs:
            if run.test_targets is None or run.test_moved is None:
                continue
            for arm in ARMS:
                found = embedding_response(
                    run.test_maps["baseline"],
                    run.test_targets,
                    run.test_moved,
                    run.test_maps[arm],
                    self.labels,
                )
                rows.append({"seed": run.seed, "run": arm, **found})
        columns = ["seed", "run", "achieved", "missed", "drift", "separation"]
        return pd.DataFrame(rows, columns=columns)

    def changed(self, seed: int | None = None) -> pd.DataFrame:
        """Held-out samples that one arm gets right and the other wrong.

        Args:
            seed: A seed; by default the first.

        Returns:
            Columns `index`, `label`, `control` and `PLI` (predicted classes), `gained` (PLI is right).
        """
        run = self.run_of(seed)
        control, pli = run.predicted("control"), run.predicted("PLI")
        rows = np.flatnonzero((control == self.labels) != (pli == self.labels))
        return pd.DataFrame(
            {
                "index": rows,
                "label": [self.name_of(label) for label in self.labels[rows]],
                "control": [self.name_of(label) for label in control[rows]],
                "PLI": [self.name_of(label) for label in pli[rows]],
                "gained": (pli == self.labels)[rows],
            }
        )

    def answer(self) -> str:
        """Says in one sentence whether the intervention helped.

        It speaks of the worst group of held-out samples where groups were given; of the samples that the plan
        selects where it moves none; else of the F1 of the classes that it moves.
        """
        return answer(self.response(), self.effects("f1"), self._told_subgroups(), len(self.runs))

    def advice(self) -> list[str]:
        """Says what to try next, the most pressing first: each a sentence or two.

        Nearly no way gone asks for a larger λ or more epochs; accuracy lost for a smaller λ, and for moves
        that do not end where other classes live, which are named; a control that is as good already for
        other classes; an interval that holds zero for more seeds.
        """
        return advice(self)

    def verdict(self) -> str:
        """Says in words what the intervention did, whether that is more than noise, and what to try next."""
        found = [self._findings(), *(f"Next: {step}" for step in self.advice())]
        return "\n".join(found)

    def _findings(self) -> str:
        lacking = [label for label in self.moved_classes if label not in self.labels]
        names = [f"class {self.name_of(label)!r}" for label in lacking]
        said = verdict(
            self.response(),
            self.effects("f1"),
            len(self.runs),
            names,
            subgroups=self._told_subgroups(),
            edited=self.runs[0].edited,
            moves=self._moves,
        )
        weights = [run.embedding_weight for run in self.runs if run.embedding_weight is not None]
        if self._moves and isinstance(self.about.get("embedding_weight"), str):
            chosen = ", ".join(f"{weight:g}" for weight in weights)
            said += f"\nλ as a pilot found it, seed by seed: {chosen}."
        return said

    @property
    def edits_data(self) -> bool:
        """Whether some seed's plan weighs, relabels or excludes training samples."""
        kinds = ("weighed", "relabelled", "excluded")
        return any(run.edited.get(kind) for run in self.runs for kind in kinds)

    @property
    def _moves(self) -> bool:
        """Whether some seed's plan moves points."""
        return any(run.train_moved is not None and run.train_moved.any() for run in self.runs)

    def _told_subgroups(self) -> pd.DataFrame:
        """The effects on groups that words are about; none where a class tells the same."""
        effects = self.subgroup_effects()
        if self.subgroups is not None:
            return effects[effects["group"] == WORST]
        return effects[effects["group"] == "selected"] if not self._moves else effects[:0]

    def to_html(
        self, path: str | Path, *, images: ArrayLike | None = None, seed: int | None = None
    ) -> Path:
        """Writes one self-contained page with the verdict, the tables and the figures.

        Args:
            path: Where to write it.
            images: The held-out inputs, where they are images, to show samples that changed.
            seed: Seed whose maps are drawn; by default the first.

        Returns:
            The path.

        Raises:
            ValueError: If there is not one image for each held-out sample.
        """
        from .page.experiment_page import html_page

        if images is not None and len(shown := np.asarray(images)) != len(self.labels):
            raise ValueError(
                f"`images` must be the {len(self.labels)} held-out inputs. Received: {len(shown)}."
            )

        return write_text(path, html_page(self, images=images, seed=seed))

    def plot(self, seed: int | None = None) -> Figure:
        """Draws the result at a glance: `plot_maps`, or the F1 of each class where there are none to draw."""
        from .page.figures import drawn, scores_figure

        return self.plot_maps(seed) if drawn(self.run_of(seed)) else scores_figure(self)

    def plot_maps(self, seed: int | None = None) -> Figure:
        """Draws the paper's figure 3: training map before and edited, held-out maps of control and PLI.

        Beside them stand the held-out map before and as the plan asks for it.

        Args:
            seed: Seed whose maps are drawn; by default the first.

        Raises:
            ValueError: If the plan needed no map, and there is none, or if maps have neither two nor three
                components.
        """
        from .page.figures import drawn, maps_figure

        run = self.run_of(seed)
        if not run.test_maps:
            raise ValueError("There are no maps: the plan moves nothing and selects by no lasso.")
        if not drawn(run):
            raise ValueError(
                "Maps of 2 or 3 components can be drawn. "
                f"Received maps of shape {run.test_maps['baseline'].shape}."
            )
        return maps_figure(self, run)

    def save(self, folder: str | Path) -> Path:
        """Writes `experiment.json`, `labels.npz` and one `.npz` for each seed into a folder."""
        folder = Path(folder)
        head = {
            "format": FORMAT,
            "about": dict(self.about),
            "identity": dict(self.identity),
            "class_names": None if self.class_names is None else [str(n) for n in self.class_names],
            "groups": None
            if self.groups is None
            else {name: [int(label) for label in members] for name, members in self.groups.items()},
        }
        labels = {"test": self.labels, "train": self.train_labels}
        if self.subgroups is not None:
            labels["subgroups"] = self.subgroups
        write_arrays(folder / "labels.npz", labels)
        write_json(folder / "experiment.json", head)
        for run in self.runs:
            run.save(seed_file(folder, run.seed))
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> ExperimentResult:
        """Reads a stored experiment, also one that is not finished.

        Raises:
            ValueError: If the folder holds none, or a file is damaged.
        """
        runs = tuple(SeedRun.load(file) for file in cls.seed_files(folder))
        return replace(cls.load_head(folder), runs=runs)

    @classmethod
    def load_head(cls, folder: str | Path) -> ExperimentResult:
        """Reads a stored experiment without its seeds.

        Raises:
            ValueError: If the folder holds none, or a file is damaged.
        """
        folder = Path(folder)
        try:
            head = read_json(folder / "experiment.json")
            if head.get("format") != FORMAT:
                raise ValueError(f"its format is {head.get('format')!r}")
            labels = read_arrays(folder / "labels.npz", ["test", "train", "subgroups"])
            return cls(
                labels["test"],
                labels["train"],
                dict(head["about"]),
                head["class_names"],
                head["groups"],
                identity=dict(head.get("identity", {})),
                subgroups=labels.get("subgroups"),
            )
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{folder} holds no stored experiment: {error}") from error

    @staticmethod
    def seed_files(folder: str | Path) -> list[Path]:
        """The files of a folder's seeds, in order."""
        found = [file for file in Path(folder).glob("seed-*.npz") if file.stem[5:].isdigit()]
        return sorted(found, key=lambda file: int(file.stem[5:]))

    def with_run(self, run: SeedRun) -> ExperimentResult:
        """Returns the experiment with one more seed."""
        return replace(self, runs=(*self.runs, run))

    def only(self, seeds: Iterable[int]) -> ExperimentResult:
        """Returns the experiment with the runs of these seeds, in their order."""
        return replace(self, runs=tuple(self.run_of(seed) for seed in seeds))

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={self.about[k]}" for k in _TOLD if k in self.about)
        text = f"ExperimentResult of seeds {quoted(self.seeds)} ({settings})"
        if not self.runs:
            return text
        effects = self.effects()
        groups = effects[effects["kind"] == "group"]
        gains = ", ".join(f"{e.name} {e.mean:+.3f}" for e in groups.itertuples())
        return f"{text}\n  F1, PLI less control: {gains}"

    def _repr_html_(self) -> str:
        from ...plotting.notebook import notebook_html

        if not self.runs:
            return notebook_html(repr(self))
        groups = list(self.averaged_groups)
        text = f"{repr(self).splitlines()[0]}\n{self.verdict()}"
        return notebook_html(text, table=self.table()[groups], figure=self.plot())

    def _classes(self) -> list[Any]:
        count = self.runs[0].outputs["baseline"].shape[1] if self.runs else 0
        return list(range(count))
