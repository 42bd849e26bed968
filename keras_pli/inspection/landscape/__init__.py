"""The loss surface around a solution: slices, the line between solutions, trajectories, sharpness."""

from .directions import direction_between, filter_normalized_directions
from .sharpness import (
    HessianEigenvalues,
    SpectralDensity,
    hessian_eigenvalues,
    spectral_density,
)
from .slices import LossLine, LossSurface
from .surface import linear_interpolation, loss_line, loss_surface
from .trajectory import PrincipalDirections, principal_directions
from .worst_case import EpsilonSharpness, epsilon_sharpness

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
