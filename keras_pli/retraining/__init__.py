"""Step 3: the PLI loss, the model that trains with it, and the experiment with its matched control."""

from .automatic_weight import AutomaticWeight
from .data import ShuffledBatches
from .experiment import pli_experiment
from .layer_reach import ReachableActivations, reachable_activations
from .layer_trial import LayerTrial
from .loss import PLILoss
from .model import PLIModel
from .outputs import class_outputs
from .pilot import Pilot
from .response import embedding_response, performance_response
from .result import ExperimentResult
from .seed_run import SeedRun

__all__ = [
    "AutomaticWeight",
    "ExperimentResult",
    "LayerTrial",
    "PLILoss",
    "PLIModel",
    "Pilot",
    "ReachableActivations",
    "SeedRun",
    "ShuffledBatches",
    "class_outputs",
    "embedding_response",
    "performance_response",
    "pli_experiment",
    "reachable_activations",
]
