"""Brain MRI from the file to a map that lies on the image: cohorts, networks, explanations of volumes."""

from .augmentation import (
    RandomVolumeAffine,
    RandomVolumeFlip,
    RandomVolumeIntensity,
    RandomVolumeRotation,
    RandomVolumeZoom,
)
from .cohort import Cohort, read_cohort
from .cohort_maps import mean_map, region_table
from .cohort_report import cohort_report
from .cohort_table import CohortError
from .cross_validation import CrossValidation, cross_validate
from .dicom import convert_dicom
from .explanation import CohortExplanation, explain_cohort
from .map_measures import dice, fold_stability
from .maps import write_map, write_pair
from .masked_inputs import masked_input_accuracy
from .networks import transfer_encoder, volume_autoencoder, volume_classifier
from .optimal_scaling import (
    SizePredictability,
    optimal_scales,
    reference_scales,
    scale_volumes,
    scaled_brain_volumes,
    size_predictability,
)
from .preprocessed import PreprocessedVolume, SourceImage
from .preprocessing import Preprocessing
from .pretraining import compare_transfer, pretrain_autoencoder
from .reading import VolumeError, read_volume
from .stripping import brain_mask
from .subject_page import subject_page

__all__ = [
    "Cohort",
    "CohortError",
    "CohortExplanation",
    "CrossValidation",
    "PreprocessedVolume",
    "Preprocessing",
    "RandomVolumeAffine",
    "RandomVolumeFlip",
    "RandomVolumeIntensity",
    "RandomVolumeRotation",
    "RandomVolumeZoom",
    "SizePredictability",
    "SourceImage",
    "VolumeError",
    "brain_mask",
    "cohort_report",
    "compare_transfer",
    "convert_dicom",
    "cross_validate",
    "dice",
    "explain_cohort",
    "fold_stability",
    "masked_input_accuracy",
    "mean_map",
    "optimal_scales",
    "pretrain_autoencoder",
    "read_cohort",
    "read_volume",
    "reference_scales",
    "region_table",
    "scale_volumes",
    "scaled_brain_volumes",
    "size_predictability",
    "subject_page",
    "transfer_encoder",
    "volume_autoencoder",
    "volume_classifier",
    "write_map",
    "write_pair",
]
