"""What was found: images before and after, codes, statuses and verdicts, to be shown and stored."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...files import write_text
from ...stored_result import StoredResult
from .verdicts import PIXEL_SHARE, output_text, verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
STATUSES = ("reached", "stopped at the limit", "reconstruction too far")


@dataclass(frozen=True, eq=False)
class Rationale(StoredResult):
    """What a `RationaleGenerator` found, with an entry for every image, whatever became of it.

    Arrays have the samples first. z₀ is the code of the image, z* that of the least change found on the
    straight way to the place where the search arrived.

    Attributes:
        originals: The images x.
        reconstructions: G(z₀).
        images: G(z*), the changed images: the least change that reaches the confidence or the cutoff. Where
            the search stopped at its limit, the place where it stood.
        flips: The least change on the same way that only changes the decision; looks ambiguous by nature.
        codes_start: z₀, `(samples, latent_size)`.
        codes: z*.
        flip_codes: Codes of `flips`.
        path_images: Images on the straight way from z₀ to z*, `(samples, points, height, width, channels)`.
        path_probabilities: What the classifier says about them, `(samples, points, classes)`; of a regressor,
            its values `(samples, points, 1)`.
        original_probabilities: What it says about the images themselves, `(samples, classes)`; a classifier
            of codes sees them by the encoder.
        predicted: The predicted class of each image, or a regressor's value.
        target: The class, or the cutoff, to reach.
        steps: Steps of the search that each sample took.
        reached: Whether the confidence or the cutoff is reached by `images`.
        flipped: Whether the decision is changed by `images`.
        reconstruction_errors: Share of each image's variance that its reconstruction misses: 0 for a
            perfect one, 1 for one no better than its mean.
        status: One of `STATUSES` for each sample. A reconstruction is too far if its error is above the
            generator's `Reconstruction.limit`, or it is decided otherwise than the image; then what was found
            may be right for the reconstruction, and says little about the image.
        about: Settings: `task`, `confidence`, `image_range`, `class_names`, and more.

    Example:
        >>> grey = np.zeros((1, 2, 2, 1), np.float32)
        >>> chances = np.array([[[0.8, 0.2], [0.1, 0.9]]])
        >>> code, one = np.zeros((1, 3)), np.ones(1, int)
        >>> why = Rationale(
        ...     originals=grey + 0.9, reconstructions=grey + 1, images=grey, flips=grey, codes_start=code,
        ...     codes=code + 1, flip_codes=code, path_images=np.stack([grey + 1, grey], 1),
        ...     path_probabilities=chances, original_probabilities=chances[:, 0], predicted=0 * one,
        ...     target=one, steps=41 * one, reached=one > 0, flipped=one > 0,
        ...     reconstruction_errors=one / 100, status=np.array(STATUSES[:1]), about={},
        ... )
        >>> print(why.verdicts[0])
        0 → 1: p .20 → .90 in 41 steps; 4 pixels removed, 0 added; reconstruction error .010
    """

    originals: Array
    reconstructions: Array
    images: Array
    flips: Array
    codes_start: Array
    codes: Array
    flip_codes: Array
    path_images: Array
    path_probabilities: Array
    original_probabilities: Array
    predicted: Array
    target: Array
    steps: Array
    reached: Array
    flipped: Array
    reconstruction_errors: Array
    status: Array
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.originals)

    def __repr__(self) -> str:
        more = f" …, and {len(self) - 1} more" if len(self) > 1 else ""
        first = f"\n  {self.verdicts[0]}{more}" if len(self) else ""
        return f"Rationale of {self.summary()}{first}"

    def _repr_html_(self) -> str:
        from ...plotting.notebook import notebook_html

        if not len(self):
            return notebook_html(repr(self))
        return notebook_html(repr(self), figure=self.plot(most=4))

    def __getitem__(self, rows: int | slice | ArrayLike) -> Rationale:
        """Returns the rationales of some samples: a number, a slice, numbers or a mask."""
        chosen = np.arange(len(self))[np.asarray(rows) if not isinstance(rows, slice) else rows]
        return replace(
            self, **{name: array[np.atleast_1d(chosen)] for name, array in self._arrays().items()}
        )

    @property
    def rationales(self) -> Array:
        """The signed rationales G(z₀) − G(z*): positive where brightness is taken away."""
        return self.reconstructions - self.images

    @property
    def residuals(self) -> Array:
        """What the generator cannot draw of the images, x − G(z₀)."""
        return self.originals - self.reconstructions

    @property
    def path_positions(self) -> Array:
        """Places of the path's points between z₀, 0, and z*, 1."""
        return np.linspace(0.0, 1.0, self.path_images.shape[1])

    @property
    def distances(self) -> Array:
        """⟨(G(z*) − G(z₀))²⟩ of each sample."""
        return (self.rationales**2).mean(axis=(1, 2, 3))

    @property
    def target_outputs(self) -> Array:
        """Probability of the target class, or the regressor's value, along the path `(samples, points)`."""
        if self.is_regression:
            return self.path_probabilities[..., 0]
        return self.path_probabilities[np.arange(len(self)), :, self.target]

    @property
    def removed(self) -> Array:
        """How many pixels of each image become darker by more than a tenth of the images' range."""
        return (self._changes() > self._threshold()).sum(axis=(1, 2))

    @property
    def added(self) -> Array:
        """How many pixels become brighter by more than that."""
        return (self._changes() < -self._threshold()).sum(axis=(1, 2))

    @property
    def is_regression(self) -> bool:
        """Whether it was a regressor's value that was to reach a cutoff."""
        return self.about.get("task") == "regression"

    @property
    def verdicts(self) -> list[str]:
        """A line on each sample: from what to what, how surely, at what cost."""
        return [verdict(self, index) for index in range(len(self))]

    def name_of(self, label: Any) -> str:
        """A class's name, or its number where there are no names."""
        names = self.about.get("class_names")
        return str(int(label)) if names is None else str(names[int(label)])

    def to_frame(self) -> pd.DataFrame:
        """Returns a table with a row a sample.

        Returns:
            Columns `predicted`, `target`, `status`, `start` and `end` (the target's probability, or the
            regressor's value, at reconstruction and changed image), `steps`, `distance`, `removed`, `added`,
            `reconstruction_error`, `verdict`.
        """
        along = self.target_outputs
        return pd.DataFrame(
            {
                "predicted": self.predicted,
                "target": self.target,
                "status": self.status.astype(object),
                "start": along[:, 0],
                "end": along[:, -1],
                "steps": self.steps,
                "distance": self.distances,
                "removed": self.removed,
                "added": self.added,
                "reconstruction_error": self.reconstruction_errors,
                "verdict": self.verdicts,
            }
        )

    def summary(self) -> str:
        """Returns how many samples have which status, in a line.

        Example:
            "64 images: 60 reached, 3 stopped at the limit, 1 reconstruction too far".
        """
        counts = [f"{(self.status == name).sum()} {name}" for name in STATUSES]
        return f"{len(self)} image{'s' if len(self) != 1 else ''}: {', '.join(counts)}"

    def plot(self, *, most: int = 8, title: str | None = None) -> Figure:
        """Draws the first samples: original, reconstruction, changed image, rationale and residual.

        Args:
            most: How many samples at most; choose others by `rationale[rows].plot()`.
            title: What stands above.
        """
        from ...plotting import rationale_grid

        part = self[:most]
        return rationale_grid(
            part.originals,
            part.reconstructions,
            part.images,
            captions=part.verdicts,
            value_range=self.about.get("image_range"),
            title=title,
        )

    def plot_path(self, index: int = 0) -> Figure:
        """Draws the way of one sample from reconstruction to changed image, with its probabilities."""
        from ...plotting import morph_strip

        columns = {0: "output"}
        level = self.target[index]
        if not self.is_regression:
            chances = self.path_probabilities[index]
            # Classes that lead on the way belong to its story, too.
            others = {*chances.argmax(axis=1).tolist()} - {int(self.target[index])}
            # The target stands first, so that it has one colour on all ways.
            columns = {
                label: self.name_of(label) for label in (self.target[index], *sorted(others))
            }
            level = self.about.get("confidence")
        return morph_strip(
            self.path_images[index],
            self.path_probabilities[index],
            columns=columns,
            level=level,
            probability=not self.is_regression,
            value_range=self.about.get("image_range"),
            title=verdict(self, index, cost=False),
        )

    def animate(self, path: str | os.PathLike[str], *, most: int = 16, fps: float = 8) -> Path:
        """Stores the ways of the first samples, there and back, as an animated GIF.

        Args:
            path: Where to store it; must end in ".gif".
            most: How many samples at most.
            fps: Frames a second.
        """
        from ...plotting import animate_morphs

        part = self[:most]
        captions = [
            [output_text(self, label, value) for value in along]
            for label, along in zip(part.target, part.target_outputs, strict=True)
        ]
        return animate_morphs(
            part.path_images,
            path,
            captions=captions,
            value_range=self.about.get("image_range"),
            fps=fps,
        )

    def to_html(
        self, path: str | os.PathLike[str], *, title: str = "Visual rationales", most: int = 24
    ) -> Path:
        """Stores a page with its figures inside, that needs nothing from elsewhere.

        Args:
            path: Where to store it.
            title: Heading of the page.
            most: How many samples are drawn; the table has all.
        """
        from .rationale_page import html_page

        return write_text(path, html_page(self, title=title, most=most))

    def _changes(self) -> Array:
        return self.rationales.mean(axis=-1)

    def _threshold(self) -> float:
        low, high = self.about.get("image_range") or (self.originals.min(), self.originals.max())
        return PIXEL_SHARE * float(high - low)
