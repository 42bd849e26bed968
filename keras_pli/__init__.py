"""See what a trained Keras classifier learned, correct it by hand, and show why it decides as it does."""

from importlib import import_module
from typing import Any

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
from .network.activations import activations
from .network.layers import layer_paths
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
    "RationaleGenerator",
    "Rotate",
    "Scale",
    "Separate",
    "Shift",
    "__version__",
    "activations",
    "affinities",
    "attribution",
    "callbacks",
    "embedding",
    "embedding_response",
    "evaluation",
    "export",
    "intervention",
    "layer_paths",
    "nearest_neighbors",
    "performance_response",
    "pli_experiment",
    "plotting",
    "quality",
    "rationale",
    "retraining",
    "serving",
    "suggest",
    "synthetic",
]

# These rooms need TensorFlow, or libraries that the others can do without.
_ON_DEMAND = ("attribution", "evaluation", "rationale", "serving", "synthetic")
_FROM_THEM = {"RationaleGenerator": "rationale", "export": "serving"}


def __getattr__(name: str) -> Any:
    if name in _ON_DEMAND:
        return import_module(f".{name}", __name__)
    if name in _FROM_THEM:
        return getattr(import_module(f".{_FROM_THEM[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
