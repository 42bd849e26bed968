"""Step 3: the PLI loss, the model that trains with it, and the experiment with its matched control."""

from .data import ShuffledBatches
from .default_loss import loss_for
from .experiment.paired_experiment import pli_experiment
from .experiment.response import embedding_response, performance_response
from .experiment.result import ExperimentResult
from .experiment.seed_run import SeedRun
from .loss import PLILoss
from .model import PLIModel
from .outputs import class_outputs
from .trials.automatic_weight import AutomaticWeight
from .trials.layer_reach import ReachableActivations, reachable_activations
from .trials.layer_trial import LayerTrial
from .trials.pilot import Pilot

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
    "loss_for",
    "performance_response",
    "pli_experiment",
    "reachable_activations",
]
