"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

from ..network.targets import AtPosition
from .activation_maps import ActivationMaps, activation_maps
from .examples.influence import influence
from .examples.influence_result import Influence, LabelErrors
from .examples.label_errors import label_errors
from .examples.neighbors import NearestSamples, nearest_samples
from .examples.prototypes import Prototypes, prototypes
from .examples.tracin import tracin
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
from .maximization import ActivationMaximization
from .maximized_images import MaximizedImages
from .receptive_fields import ReceptiveFields, receptive_fields
from .settling import EpochFolder, Settling, plot_filter_evolution, settling
from .surrogates import Surrogate, surrogate
from .top_activations import TopActivations, top_activations

__all__ = [
    "ActivationMaps",
    "ActivationMaximization",
    "AtPosition",
    "EpochFolder",
    "EpsilonSharpness",
    "HessianEigenvalues",
    "Influence",
    "LabelErrors",
    "LossLine",
    "LossSurface",
    "MaximizedImages",
    "NearestSamples",
    "PrincipalDirections",
    "Prototypes",
    "ReceptiveFields",
    "Settling",
    "SpectralDensity",
    "Surrogate",
    "TopActivations",
    "activation_maps",
    "direction_between",
    "epsilon_sharpness",
    "filter_normalized_directions",
    "filters",
    "hessian_eigenvalues",
    "influence",
    "label_errors",
    "layers_with_filters",
    "linear_interpolation",
    "loss_line",
    "loss_surface",
    "nearest_samples",
    "plot_filter_evolution",
    "plot_filters",
    "principal_directions",
    "prototypes",
    "receptive_fields",
    "settling",
    "spectral_density",
    "surrogate",
    "top_activations",
    "tracin",
]
