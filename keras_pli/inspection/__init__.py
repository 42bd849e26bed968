"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

from .examples.influence import influence
from .examples.influence_result import Influence, LabelErrors
from .examples.label_errors import label_errors
from .examples.tracin import tracin

__all__ = ["Influence", "LabelErrors", "influence", "label_errors", "tracin"]
