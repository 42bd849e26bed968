"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

from .examples.influence import influence
from .examples.influence_result import Influence, LabelErrors
from .examples.label_errors import label_errors
from .examples.neighbors import NearestSamples, nearest_samples
from .examples.prototypes import Prototypes, prototypes
from .examples.tracin import tracin
from .surrogates import Surrogate, surrogate

__all__ = [
    "Influence",
    "LabelErrors",
    "NearestSamples",
    "Prototypes",
    "Surrogate",
    "influence",
    "label_errors",
    "nearest_samples",
    "prototypes",
    "surrogate",
    "tracin",
]
