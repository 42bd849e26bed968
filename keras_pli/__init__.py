"""See what a trained Keras classifier learned, correct it by hand, and show why it decides as it does."""

from . import callbacks, embedding, intervention, plotting, retraining
from .embedding import ParametricTSNE, affinities, nearest_neighbors, quality
from .intervention import (
    Contract,
    Custom,
    InterventionPlan,
    Lasso,
    Move,
    MovePoints,
    MoveTo,
    Rotate,
    Scale,
    Separate,
    Shift,
    suggest,
)
from .layers import activations, layer_paths
from .retraining import (
    ExperimentResult,
    PLILoss,
    PLIModel,
    embedding_response,
    performance_response,
    pli_experiment,
)
from .version import __version__

__all__ = [
    "Contract",
    "Custom",
    "ExperimentResult",
    "InterventionPlan",
    "Lasso",
    "Move",
    "MovePoints",
    "MoveTo",
    "PLILoss",
    "PLIModel",
    "ParametricTSNE",
    "Rotate",
    "Scale",
    "Separate",
    "Shift",
    "__version__",
    "activations",
    "affinities",
    "callbacks",
    "embedding",
    "embedding_response",
    "intervention",
    "layer_paths",
    "nearest_neighbors",
    "performance_response",
    "pli_experiment",
    "plotting",
    "quality",
    "retraining",
    "suggest",
]
