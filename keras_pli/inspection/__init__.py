"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

from ..network.targets import AtPosition
from .maximization import ActivationMaximization, MaximizedImages

__all__ = ["ActivationMaximization", "AtPosition", "MaximizedImages"]
