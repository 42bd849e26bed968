"""What the parts of a report on a cohort share: a cross-validation, its maps, and the space of the means."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import quoted
from ...identity import model_identity
from ...optional import imported
from ..explaining.cohort_maps import mean_map
from ..explaining.explanation import CohortExplanation
from ..training.cross_validation import CrossValidation


@dataclass(frozen=True, eq=False)
class ReportData:
    """A cross-validation with its maps.

    Args:
        found: The cross-validation.
        explained: Its maps.
        folder: Where the report is written.
        template: On whose grid mean maps are; None: on that of the first volume.
        written: Gets the files written beside the page, relative to the folder.

    Raises:
        ValueError: If the maps explain other networks than the cross-validation's.
    """

    found: CrossValidation
    explained: CohortExplanation
    folder: Path
    template: Any
    written: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        weights = [model_identity(network)["weights"] for network in self.found.models]
        if list(self.explained.models) != weights:
            raise ValueError(
                f"The maps in {self.explained.folder} explain other networks than those of the "
                f"cross-validation: networks of the weights {quoted(self.explained.models)}, and it has "
                f"{quoted(weights)}. Delete that folder, and explain the cohort anew."
            )

    @cached_property
    def volumes(self) -> NDArray[np.float32]:
        """What the networks saw, `(images, X, Y, Z)`."""
        return self.explained.volumes

    @cached_property
    def brains(self) -> NDArray[np.bool_] | None:
        """The brains, or None where some are not known."""
        return self.explained.brains

    @cached_property
    def affines(self) -> NDArray[np.float64]:
        """From voxels to mm, `(images, 4, 4)`."""
        return self.explained.affines

    @property
    def goal(self) -> Any:
        """The image whose grid the mean maps have."""
        if self.template is not None:
            return self.template
        nibabel = imported("nibabel", "A mean map")
        return nibabel.Nifti1Image(self.volumes[0], self.affines[0])

    @property
    def stripped(self) -> bool:
        """Whether the networks saw brains only."""
        return self.found.preprocessing.skull_stripping != "none"

    @cached_property
    def shown(self) -> NDArray[np.float32]:
        """The volumes, dark outside of the brain: where it is stripped, 0 is a medium grey of the brain."""
        if self.brains is None or not self.stripped:
            return self.volumes
        darkest = np.where(self.brains, self.volumes, np.inf).min(axis=(1, 2, 3), keepdims=True)
        return np.where(self.brains, self.volumes, darkest).astype(np.float32)

    @cached_property
    def background(self) -> Any:
        """The mean of the volumes, on the goal's grid."""
        return mean_map(self.shown, self.affines, self.goal)

    @cached_property
    def mean_brain(self) -> Any:
        """Where most brains are on the goal's grid; True for everywhere, as where skulls were left."""
        if self.brains is None or not self.stripped:
            return True
        most = mean_map(self.brains, self.affines, self.goal).get_fdata() > 0.5
        return most if most.any() else True
