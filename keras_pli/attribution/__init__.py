"""Heat maps of what decided, for 1-D, 2-D and 3-D Keras models.

Gradients (`gradients`, `smoothing`, `paths`), other backward rules (`backprop`), class activation maps
(`cam`) and perturbations (`occlusion`, `lime`, `meaningful_perturbation`) share one contract, `Method`:
`Saliency(model)(x, target)` gives an `Attribution`.
"""

from ..network.targets import AtPosition, Within
from .attribution import Attribution
from .backprop import Deconvnet, DeepLIFT, EpsilonLRP, GuidedBackprop
from .cam import CAM, ClassActivationMap, GradCAM, GuidedGradCAM
from .dataset import explain_dataset, load_attributions
from .gradients import GradientTimesInput, Saliency
from .lime import LIME
from .meaningful_perturbation import MeaningfulPerturbation
from .method import Method
from .names import METHODS, find_method, method_name
from .occlusion import Occlusion
from .paths import GuidedIntegratedGradients, IntegratedGradients, InteriorGradients
from .smoothing import SmoothGrad

__all__ = [
    "CAM",
    "LIME",
    "METHODS",
    "AtPosition",
    "Attribution",
    "ClassActivationMap",
    "Deconvnet",
    "DeepLIFT",
    "EpsilonLRP",
    "GradCAM",
    "GradientTimesInput",
    "GuidedBackprop",
    "GuidedGradCAM",
    "GuidedIntegratedGradients",
    "IntegratedGradients",
    "InteriorGradients",
    "MeaningfulPerturbation",
    "Method",
    "Occlusion",
    "Saliency",
    "SmoothGrad",
    "Within",
    "explain_dataset",
    "find_method",
    "load_attributions",
    "method_name",
]
