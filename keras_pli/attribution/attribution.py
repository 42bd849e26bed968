"""The value that every attribution method returns."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from ..brief import brief, counted, span

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

_MOST_SHOWN = 4


class Attribution(NamedTuple):
    """What a method says about each sample.

    Attributes:
        attributions: Shaped like the inputs, `(samples, ...)`, in units of the score (or of the score by
            input unit, for bare gradients); of class activation maps `(samples, *spatial)`. A structure of
            arrays for a model with several inputs.
        scores: The explained score of each sample, `(samples,)`.
        delta: The completeness error of each sample, `(samples,)`: the sum of its attributions less the
            difference in score they should add up to. None for methods that promise no such sum.
        details: More for each sample, by name; see the method.

    Example:
        >>> Attribution(np.eye(8)[None] - 0.5, np.array([2.0]))
        Attribution of 1 sample: float64 (1, 8, 8), from −0.5 to 0.5
          scores: 2
    """

    attributions: Any
    scores: Any
    delta: Any = None
    details: Mapping[str, Any] = MappingProxyType({})

    def __repr__(self) -> str:
        maps, samples = self.attributions, ""
        # Tensors of a graph have no values, and perhaps no number of samples.
        if isinstance(self.scores, np.ndarray):
            samples = f" of {counted(self.scores.size, 'sample')}"
        values = f", {_spread(maps)}" if isinstance(maps, np.ndarray) and maps.size else ""
        said = {"scores": _said(self.scores)}
        if self.delta is not None:
            said["delta"] = _said(self.delta)
        if self.details:
            said["details"] = ", ".join(self.details)
        told = "; ".join(f"{name}: {text}" for name, text in said.items())
        return f"{type(self).__name__}{samples}: {brief(maps)}{values}\n  {told}"

    def plot(
        self,
        x: ArrayLike | None = None,
        *,
        most: int = 6,
        value_range: tuple[float, float] | None = None,
    ) -> Figure:
        """Draws the maps of the first samples, each over its sample where that is given.

        Args:
            x: The samples explained; without them the maps are drawn alone.
            most: How many samples at most.
            value_range: The samples' values drawn black and white, by default from their type or extent.

        Returns:
            A new figure: for one image or signal a `plotting.attribution_overlay`, for one volume a
            `plotting.volume_slices`, for several samples a `plotting.attribution_grid`.

        Raises:
            ValueError: If the model has several inputs, whose maps are drawn one input at a time; if the
                attribution holds tensors of a graph; or if `x` does not fit the maps.

        Example:
            >>> figure = Attribution(np.eye(8)[None], np.array([2.0])).plot(np.zeros((1, 8, 8)))
            >>> figure.axes[0].get_title(loc="left")
            'score 2'
        """
        from ..plotting.explained import explained_samples

        if not isinstance(self.attributions, np.ndarray):
            raise ValueError(
                "Maps are drawn of arrays, one input at a time, such as "
                "`found._replace(attributions=found.attributions[0]).plot(x[0])`. "
                f"Received: {brief(self.attributions)}."
            )
        maps = self.attributions[:most]
        titles = [f"score {span(score)}" for score in self.scores[:most]]
        if x is not None:
            x = np.asarray(x)
            if len(x) < len(maps):
                raise ValueError(
                    f"`x` must hold the {len(self.attributions)} samples explained. Received shape "
                    f"{x.shape}."
                )
            x = x[:most]
        else:
            titles = [f"sample {i}: {title}" for i, title in enumerate(titles)]
        return explained_samples(maps, x, titles=titles, value_range=value_range)

    def _repr_html_(self) -> str:
        from ..plotting.notebook import notebook_html

        if not isinstance(self.scores, np.ndarray):
            return notebook_html(repr(self))
        first = slice(_MOST_SHOWN)
        table = {"score": self.scores[first]}
        if self.delta is not None:
            table["delta"] = np.asarray(self.delta)[first]
        figure = self.plot(most=_MOST_SHOWN) if _is_picture(self.attributions) else None
        return notebook_html(
            repr(self), table=pd.DataFrame(table).map("{:.3g}".format), figure=figure
        )


class PositionAttribution(Attribution):
    """What a method says that hides whole positions: one value for each, the same in each of its channels.

    The channels are not parts of a sum, as those of a gradient are.
    """

    __slots__ = ()


def _spread(maps: np.ndarray[Any, Any]) -> str:
    """The range of the maps' values, and how many maps have none but zero, as of a Grad-CAM cut off below."""
    empty = int((maps.reshape(len(maps), -1) == 0).all(axis=1).sum())
    if empty == len(maps):
        return "zero everywhere"
    return f"from {span(maps)}" + (f"; {counted(empty, 'map')} zero everywhere" if empty else "")


def _said(values: Any) -> str:
    return span(values) if isinstance(values, np.ndarray) and values.size else brief(values)


def _is_picture(maps: Any) -> bool:
    """Whether maps can be drawn: samples of one to three axes and perhaps channels, with values for all."""
    if not isinstance(maps, np.ndarray) or not 2 <= maps.ndim <= 5:
        return False
    return maps.size > len(maps) and bool(np.isfinite(maps[:_MOST_SHOWN]).all())
