"""Export for TensorFlow Serving: predictions, maps and explanations as signatures of a SavedModel."""

from .exporting import export
from .version_folders import versions
from .warmup import read_warmup

__all__ = ["export", "read_warmup", "versions"]
