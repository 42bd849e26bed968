"""Images that say what would have to change for a prediction to change, found in a generator's codes.

First a generator and its encoder (`WassersteinGAN`, `GeneratorEncoder`), then classifiers of codes.
`ClassLatentGAN` has codes with a part for the class, which `invert` finds and `traverse` follows.
`known_truth` makes images of which one knows what decides.
"""

from ..images import (
    check_range,
    letterbox,
    random_translation,
    scale_bnp,
    split_by_group,
    to_range,
    unscale_bnp,
)
from . import known_truth
from .class_latent.class_codes import ClassCodes, CodeScheme
from .class_latent.class_latent_gan import ClassLatentGAN
from .class_latent.inversion import INVERSION_STATUSES, Inversion, invert
from .class_latent.traversal import Traversal, traverse
from .class_latent.traversal_measures import measure_traversal
from .digit_networks import DigitNetworks, digit_networks
from .generators.encoder import GeneratorEncoder
from .generators.gradient_penalty import gradient_penalty
from .generators.networks import dcgan_critic, dcgan_encoder, dcgan_generator
from .generators.pyramid import collapse, laplacian_loss, laplacian_pyramid
from .generators.wgan import WassersteinGAN
from .latent_classifiers import linear_regressor, mlp, residual_network
from .latent_training import LatentFit, RocCurve, fit_latent_classifier
from .measures.baselines import nearest_images, pixel_search, through_encoder
from .measures.class_autoencoders import class_autoencoders
from .measures.contrast import classifier_contrast, contaminated, randomized
from .measures.counterfactuals import (
    im1,
    ink_scores,
    label_variation,
    normalised_cross_correlation,
    oracle_agreement,
    proximity,
    sparsity,
    validity,
)
from .measures.generator_quality import (
    KernelDistance,
    ModeCoverage,
    PrecisionRecall,
    frechet_distance,
    frechet_of_gaussians,
    generator_quality,
    kernel_distance,
    mode_coverage,
    precision_recall,
    standardized,
)
from .measures.rationale_evaluation import evaluate_rationales, keeps_class, measure_table
from .search.rationale import STATUSES, Rationale
from .search.rationale_generator import RationaleGenerator
from .search.rationale_settings import Reconstruction, Search

__all__ = [
    "INVERSION_STATUSES",
    "STATUSES",
    "ClassCodes",
    "ClassLatentGAN",
    "CodeScheme",
    "DigitNetworks",
    "GeneratorEncoder",
    "Inversion",
    "KernelDistance",
    "LatentFit",
    "ModeCoverage",
    "PrecisionRecall",
    "Rationale",
    "RationaleGenerator",
    "Reconstruction",
    "RocCurve",
    "Search",
    "Traversal",
    "WassersteinGAN",
    "check_range",
    "class_autoencoders",
    "classifier_contrast",
    "collapse",
    "contaminated",
    "dcgan_critic",
    "dcgan_encoder",
    "dcgan_generator",
    "digit_networks",
    "evaluate_rationales",
    "fit_latent_classifier",
    "frechet_distance",
    "frechet_of_gaussians",
    "generator_quality",
    "gradient_penalty",
    "im1",
    "ink_scores",
    "invert",
    "keeps_class",
    "kernel_distance",
    "known_truth",
    "label_variation",
    "laplacian_loss",
    "laplacian_pyramid",
    "letterbox",
    "linear_regressor",
    "measure_table",
    "measure_traversal",
    "mlp",
    "mode_coverage",
    "nearest_images",
    "normalised_cross_correlation",
    "oracle_agreement",
    "pixel_search",
    "precision_recall",
    "proximity",
    "random_translation",
    "randomized",
    "residual_network",
    "scale_bnp",
    "sparsity",
    "split_by_group",
    "standardized",
    "through_encoder",
    "to_range",
    "traverse",
    "unscale_bnp",
    "validity",
]
