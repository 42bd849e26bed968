"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

from .activation_maps import ActivationMaps, activation_maps
from .filters import filters, layers_with_filters, plot_filters

__all__ = [
    "ActivationMaps",
    "activation_maps",
    "filters",
    "layers_with_filters",
    "plot_filters",
]
