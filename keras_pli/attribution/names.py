"""All methods, and their names as the command line and exported signatures call them."""

from __future__ import annotations

import re

from ..checks import quoted
from .backprop import Deconvnet, DeepLIFT, EpsilonLRP, GuidedBackprop
from .cam import CAM, GradCAM, GuidedGradCAM
from .gradients import GradientTimesInput, Saliency
from .lime import LIME
from .meaningful_perturbation import MeaningfulPerturbation
from .method import Method
from .occlusion import Occlusion
from .paths import GuidedIntegratedGradients, IntegratedGradients, InteriorGradients
from .smoothing import SmoothGrad

METHODS: tuple[type[Method], ...] = (
    Saliency,
    GradientTimesInput,
    SmoothGrad,
    IntegratedGradients,
    InteriorGradients,
    GuidedIntegratedGradients,
    GuidedBackprop,
    Deconvnet,
    EpsilonLRP,
    DeepLIFT,
    CAM,
    GradCAM,
    GuidedGradCAM,
    Occlusion,
    LIME,
    MeaningfulPerturbation,
)
"""Every method, in the order of their families."""


def method_name(method: type[Method]) -> str:
    """Returns a method's name in lower case: that of `GradCAM` is `"grad_cam"`.

    Example:
        >>> from keras_pli.attribution import IntegratedGradients
        >>> method_name(IntegratedGradients)
        'integrated_gradients'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", method.__name__).lower()


def find_method(name: str) -> type[Method]:
    """Returns the method of a name; underscores, hyphens, spaces and capitals do not matter.

    Raises:
        ValueError: If there is none, or the name has other signs, as that of Grad-CAM++, which is another
            method; those that exist are named.

    Example:
        >>> find_method("grad-cam")
        <class 'keras_pli.attribution.cam.GradCAM'>
    """
    plain = {_plain(method.__name__): method for method in METHODS}
    if not re.fullmatch(r"[A-Za-z0-9 _-]*", name) or _plain(name) not in plain:
        names = [method_name(method) for method in METHODS]
        raise ValueError(
            f"There is no attribution method {name!r}. There are {quoted(names, most=30)}."
        )
    return plain[_plain(name)]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
