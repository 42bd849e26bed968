"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

from ..network.targets import AtPosition
from .activation_maps import ActivationMaps, activation_maps
from .filters import filters, layers_with_filters, plot_filters
from .maximization import ActivationMaximization, MaximizedImages
from .receptive_fields import ReceptiveFields, receptive_fields
from .settling import EpochFolder, Settling, plot_filter_evolution, settling
from .top_activations import TopActivations, top_activations

__all__ = [
    "ActivationMaps",
    "ActivationMaximization",
    "AtPosition",
    "EpochFolder",
    "MaximizedImages",
    "ReceptiveFields",
    "Settling",
    "TopActivations",
    "activation_maps",
    "filters",
    "layers_with_filters",
    "plot_filter_evolution",
    "plot_filters",
    "receptive_fields",
    "settling",
    "top_activations",
]
