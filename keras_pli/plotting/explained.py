"""What one method found, sample by sample, drawn as its shape asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .attributions import attribution_overlay
from .grids import attribution_grid
from .heatmaps import finite_values, spatial_dimensions
from .volumes import volume_slices


def explained_samples(
    attributions: ArrayLike,
    samples: ArrayLike | None = None,
    *,
    titles: Sequence[str] | None = None,
    value_range: tuple[float, float] | None = None,
) -> Figure:
    """Draws the maps of one method, each over its sample.

    One image or signal is an `attribution_overlay`, one volume a `volume_slices`; several samples are rows
    of an `attribution_grid`, or without the samples themselves one grid of maps on one scale.

    Args:
        attributions: Maps of shape `(samples, ...)`.
        samples: What they explain, as many, with or without a channel axis more; None draws the maps alone,
            on white.
        titles: One text a sample.
        value_range: The samples' values drawn black and white; see `image_strip`.

    Raises:
        ValueError: If shapes do not fit, or a value is not finite.

    Example:
        >>> figure = explained_samples(np.ones((5, 8, 8)))
        >>> [ax.get_title() for ax in figure.axes[:2]]
        ['sample 0', 'sample 1']
    """
    maps = finite_values(attributions, "attributions")
    names = [f"sample {i}" for i in range(len(maps))] if titles is None else list(titles)
    if len(maps) > 1:
        if samples is not None:
            return attribution_grid(
                samples, {"attribution": maps}, row_labels=names, value_range=value_range
            )
        # One sample of which each map is another method's: they stand side by side.
        alone = {name: one[np.newaxis] for name, one in zip(names, maps, strict=True)}
        return _without_lines(attribution_grid(None, alone, scale="all"))
    sample = np.ones(maps.shape[1:]) if samples is None else np.asarray(samples)[0]
    volume = spatial_dimensions(np.shape(sample), maps.shape[1:]) == 3
    draw = volume_slices if volume else attribution_overlay
    figure = draw(sample, maps[0], title=names[0], value_range=value_range)
    return _without_lines(figure) if samples is None and not volume else figure


def _without_lines(figure: Figure) -> Figure:
    """Takes out the lines, and their axes, of signals that are not known."""
    for ax in figure.axes:
        for line in [*ax.lines]:
            line.remove()
            ax.set_yticks([])
    return figure
