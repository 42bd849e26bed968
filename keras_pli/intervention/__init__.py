"""Step 2 of a projective latent intervention: saying on a map what should change."""

from .move import Move
from .moves import (
    Contract,
    Custom,
    Lasso,
    MovePoints,
    MoveTo,
    Rotate,
    Scale,
    Separate,
    Shift,
    WholeMap,
)
from .occupancy import Occupancy, occupancy
from .plan import InterventionPlan
from .selection import ClassLabel, Indices, Mask, Polygon, Selection
from .suggestion import suggest

__all__ = [
    "ClassLabel",
    "Contract",
    "Custom",
    "Indices",
    "InterventionPlan",
    "Lasso",
    "Mask",
    "Move",
    "MovePoints",
    "MoveTo",
    "Occupancy",
    "Polygon",
    "Rotate",
    "Scale",
    "Selection",
    "Separate",
    "Shift",
    "WholeMap",
    "occupancy",
    "suggest",
]
