"""The loss surface around a solution: slices, the line between solutions, trajectories, sharpness."""

from .directions import direction_between, filter_normalized_directions
from .surface import LossLine, LossSurface, linear_interpolation, loss_line, loss_surface

__all__ = [
    "LossLine",
    "LossSurface",
    "direction_between",
    "filter_normalized_directions",
    "linear_interpolation",
    "loss_line",
    "loss_surface",
]
