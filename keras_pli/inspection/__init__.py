"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

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

__all__ = [
    "EpsilonSharpness",
    "HessianEigenvalues",
    "LossLine",
    "LossSurface",
    "PrincipalDirections",
    "SpectralDensity",
    "direction_between",
    "epsilon_sharpness",
    "filter_normalized_directions",
    "hessian_eigenvalues",
    "linear_interpolation",
    "loss_line",
    "loss_surface",
    "principal_directions",
    "spectral_density",
]
