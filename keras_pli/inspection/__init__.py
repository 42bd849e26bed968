"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

from .landscape import (
    LossLine,
    LossSurface,
    direction_between,
    filter_normalized_directions,
    linear_interpolation,
    loss_line,
    loss_surface,
)

__all__ = [
    "LossLine",
    "LossSurface",
    "direction_between",
    "filter_normalized_directions",
    "linear_interpolation",
    "loss_line",
    "loss_surface",
]
