"""What plugs into `model.fit`: each callback does one thing, at the end of an epoch."""

from .accuracy_guard import AccuracyGuard
from .attribution_snapshots import AttributionSnapshots
from .embedding_response import EmbeddingResponse
from .embedding_snapshots import EmbeddingSnapshots
from .export_best import ExportBest
from .feature_evolution import FeatureEvolution
from .generated_samples import GeneratedSamples
from .performance_response import PerformanceResponse
from .weight_trajectory import WeightTrajectory

__all__ = [
    "AccuracyGuard",
    "AttributionSnapshots",
    "EmbeddingResponse",
    "EmbeddingSnapshots",
    "ExportBest",
    "FeatureEvolution",
    "GeneratedSamples",
    "PerformanceResponse",
    "WeightTrajectory",
]
