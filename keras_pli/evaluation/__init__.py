"""Is an explanation worth believing? Faithfulness, randomisation tests, and agreement with a known truth."""

from ..synthetic import KnownTruth, known_truth, known_truth_classifier, train_known_truth
from .curves import FaithfulnessCurve, deletion_curve, insertion_curve
from .data_randomization import data_randomization_test
from .faithfulness_table import completeness, faithfulness
from .fidelity import infidelity, mu_fidelity
from .localization_table import (
    average_precision,
    iou,
    localization,
    pointing_game,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)
from .randomization import model_randomization_test
from .randomization_result import RandomizationResult, SensitivityVerdict
from .scoring import Scorer
from .sensitivity import max_sensitivity
from .student import StudentCurves, student_test

__all__ = [
    "FaithfulnessCurve",
    "KnownTruth",
    "RandomizationResult",
    "Scorer",
    "SensitivityVerdict",
    "StudentCurves",
    "average_precision",
    "completeness",
    "data_randomization_test",
    "deletion_curve",
    "faithfulness",
    "infidelity",
    "insertion_curve",
    "iou",
    "known_truth",
    "known_truth_classifier",
    "localization",
    "max_sensitivity",
    "model_randomization_test",
    "mu_fidelity",
    "pointing_game",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "student_test",
    "train_known_truth",
]
