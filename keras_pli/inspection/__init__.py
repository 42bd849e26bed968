"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

from ..network.targets import AtPosition
from .activation_maps import ActivationMaps, activation_maps
from .filters import filters, layers_with_filters, plot_filters
from .landscape import (
    EpsilonSharpness,
    HessianEigenvalues,
    LossLine,
    LossSurface,
    PrincipalDirections,
    SpectralDensity,
    direction_between,
    epsilon_sharpness,
    filter_normalized_directions,
    hessian_eigenvalues,
    linear_interpolation,
    loss_line,
    loss_surface,
    principal_directions,
    spectral_density,
)
from .maximization import ActivationMaximization, MaximizedImages
from .receptive_fields import ReceptiveFields, receptive_fields
from .settling import EpochFolder, Settling, plot_filter_evolution, settling
from .top_activations import TopActivations, top_activations

__all__ = [
    "ActivationMaps",
    "ActivationMaximization",
    "AtPosition",
    "EpochFolder",
    "EpsilonSharpness",
    "HessianEigenvalues",
    "LossLine",
    "LossSurface",
    "MaximizedImages",
    "PrincipalDirections",
    "ReceptiveFields",
    "Settling",
    "SpectralDensity",
    "TopActivations",
    "activation_maps",
    "direction_between",
    "epsilon_sharpness",
    "filter_normalized_directions",
    "filters",
    "hessian_eigenvalues",
    "layers_with_filters",
    "linear_interpolation",
    "loss_line",
    "loss_surface",
    "plot_filter_evolution",
    "plot_filters",
    "principal_directions",
    "receptive_fields",
    "settling",
    "spectral_density",
    "top_activations",
]
