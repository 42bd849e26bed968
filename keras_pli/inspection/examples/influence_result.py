"""What training samples did to predictions, as a table and a figure; labels that look wrong, likewise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...brief import brief_repr
from ...checks import checked_number
from ...stored_result import StoredResult
from .names import check_length, check_names, label_name, plain_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Influence(StoredResult):
    """How much each training sample helped or harmed the loss of each test sample.

    Args:
        values: float64 `(tests, trainings)`, above 0 where the training sample helped. Of `influence` they
            are estimates of the rise of the test sample's loss if the training sample were left out; of
            `tracin`, of the fall of the loss that steps on the training sample brought.
        train_labels: Labels of the training samples.
        test_labels: Labels of the test samples.
        test_predicted: Classes that the model predicts for them, int64 `(tests,)`; empty for other losses
            than the cross-entropy.
        about: The method and its settings; `"explain"` says whether the loss is that of the label or of the
            class predicted.
    """

    values: NDArray[np.float64]
    train_labels: NDArray[Any]
    test_labels: NDArray[Any]
    test_predicted: NDArray[np.int64]
    about: dict[str, Any]

    __repr__ = brief_repr

    def helpful(self, most: int = 5) -> NDArray[np.intp]:
        """Returns the training samples that helped most, `(tests, most)`, the first most of all."""
        return self._first(-self.values, most)

    def harmful(self, most: int = 5) -> NDArray[np.intp]:
        """Returns the training samples that harmed most, `(tests, most)`, the first most of all."""
        return self._first(self.values, most)

    @property
    def explained(self) -> NDArray[Any]:
        """The labels whose loss was explained: those given, or the classes predicted."""
        return self.test_predicted if self.about.get("explain") == "predicted" else self.test_labels

    def to_frame(self, most: int = 5) -> pd.DataFrame:
        """Returns one row for each of the most helpful and harmful training samples of each test sample.

        Columns: `test` and `train`, positions of the samples; `kind`, `"helpful"` or `"harmful"`; `rank` from
        1; `value`; `test_label`; `test_predicted`, the class predicted, if any; `explained`, the label whose
        loss was explained; `train_label`. A sample is of a kind only if its value has that sign.
        """
        predicted = self.test_predicted.tolist() or [None] * len(self.values)
        rows = [
            {
                "test": test,
                "kind": kind,
                "rank": rank,
                "train": int(train),
                "value": self.values[test, train],
                "test_label": plain_label(self.test_labels[test]),
                "test_predicted": predicted[test],
                "explained": plain_label(self.explained[test]),
                "train_label": plain_label(self.train_labels[train]),
            }
            for test in range(len(self.values))
            for kind, sign, found in (
                ("helpful", 1.0, self.helpful(most)[test]),
                ("harmful", -1.0, self.harmful(most)[test]),
            )
            for rank, train in enumerate(found, start=1)
            if sign * self.values[test, train] > 0
        ]
        columns = ["test", "kind", "rank", "train", "value"]
        columns += ["test_label", "test_predicted", "explained", "train_label"]
        return pd.DataFrame(rows, columns=columns)

    def plot(
        self,
        x_train: ArrayLike,
        x_test: ArrayLike,
        *,
        tests: Sequence[int] | None = None,
        most: int = 4,
        class_names: Sequence[str] | None = None,
        value_range: tuple[float, float] | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draws test samples, each beside the training samples that helped and harmed it most.

        Below each test sample stand its label, the class predicted and the class whose loss was explained.

        Args:
            x_train: Training samples, all of them: signals, images or volumes.
            x_test: Test samples, all of them.
            tests: Positions of those drawn; by default the first six.
            most: How many of each kind.
            class_names: Names for labels.
            value_range: The values drawn black and white; see `image_strip`.
            title: What stands above.

        Returns:
            A new `plotting.example_rows`.
        """
        from ...plotting import example_rows

        train, test = np.asarray(x_train), np.asarray(x_test)
        method = str(self.about.get("method", "influence"))
        check_length(train, len(self.train_labels), "x_train", of=method)
        check_length(test, len(self.test_labels), "x_test", of=method)
        check_names(class_names, self.train_labels, self.test_labels, self.test_predicted)
        drawn = list(range(min(6, len(test)))) if tests is None else list(tests)
        groups = {
            "helped most": self.helpful(most)[drawn],
            "harmed most": self.harmful(most)[drawn],
        }
        return example_rows(
            test[drawn],
            groups,
            of=train,
            captions=[self._caption(i, class_names) for i in drawn],
            group_captions={
                name: [
                    [
                        f"{label_name(self.train_labels[j], class_names)}\n{_short(self.values[i, j])}"
                        for j in row
                    ]
                    for i, row in zip(drawn, found, strict=True)
                ]
                for name, found in groups.items()
            },
            value_range=value_range,
            title=title,
        )

    def _caption(self, test: int, class_names: Sequence[str] | None) -> str:
        own = label_name(self.test_labels[test], class_names)
        if not len(self.test_predicted):
            return own
        said, about = (
            label_name(labels[test], class_names)
            for labels in (self.test_predicted, self.explained)
        )
        return f"true {own}\npredicted {said}\nloss of {about}"

    @staticmethod
    def _first(values: NDArray[np.float64], most: int) -> NDArray[np.intp]:
        most = checked_number(most, "most", least=1, whole=True)
        return np.argsort(values, axis=1, kind="stable")[:, :most]


@dataclass(frozen=True, eq=False)
class LabelErrors(StoredResult):
    """Training samples by how much their labels look wrong.

    Args:
        scores: float64 `(samples,)`, the greater the more suspicious.
        labels: The labels they have.
        predicted: The classes that the model predicts for them.
        about: The method and its settings.
    """

    scores: NDArray[np.float64]
    labels: NDArray[Any]
    predicted: NDArray[np.int64]
    about: dict[str, Any]

    __repr__ = brief_repr

    @property
    def ranked(self) -> NDArray[np.intp]:
        """Positions of the samples, the most suspicious first."""
        return np.argsort(-self.scores, kind="stable")

    def to_frame(self, most: int | None = None) -> pd.DataFrame:
        """Returns the first suspects: columns `sample`, `label`, `predicted`, `score`."""
        first = self.ranked[:most]
        return pd.DataFrame(
            {
                "sample": first,
                "label": self.labels[first],
                "predicted": self.predicted[first],
                "score": self.scores[first],
            }
        )

    def plot(
        self,
        x: ArrayLike,
        *,
        most: int = 16,
        class_names: Sequence[str] | None = None,
        value_range: tuple[float, float] | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draws the first suspects, images with the label they have and the class predicted.

        Args:
            x: All samples, images.
            most: How many.
            class_names: Names for labels.
            value_range: The values drawn black and white; see `image_strip`.
            title: What stands above.
        """
        from ...plotting import image_strip

        images = np.asarray(x)
        check_length(images, len(self.labels), "x", of="label_errors")
        check_names(class_names, self.labels, self.predicted)
        first = self.ranked[:most]
        captions = [
            f"labelled {label_name(self.labels[i], class_names)}\n"
            f"predicted {label_name(self.predicted[i], class_names)}"
            for i in first
        ]
        return image_strip(images[first], captions, value_range=value_range, title=title)


def _short(value: float) -> str:
    return f"{value:+.2g}".replace("-", "\N{MINUS SIGN}")
