"""Export for TensorFlow Serving: predictions, maps and explanations as signatures of a SavedModel."""

from .export import export
from .versions import versions
from .warmup import read_warmup

__all__ = ["export", "read_warmup", "versions"]
