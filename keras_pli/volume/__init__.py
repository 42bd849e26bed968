"""Brain MRI from the file to a map that lies on the image: cohorts, networks, explanations of volumes."""

from .cohorts.cohort import Cohort, read_cohort
from .cohorts.cohort_table import CohortError
from .explaining.cohort_maps import mean_map, region_table
from .explaining.explanation import CohortExplanation, explain_cohort
from .explaining.map_measures import dice, fold_stability
from .explaining.masked_inputs import masked_input_accuracy
from .images.dicom import convert_dicom
from .images.maps import write_map, write_pair
from .images.preprocessed import PreprocessedVolume, SourceImage
from .images.preprocessing import Preprocessing
from .images.reading import VolumeError, read_volume
from .images.stripping import brain_mask
from .pages.cohort_report import cohort_report
from .pages.subject_page import subject_page
from .training.augmentation import (
    RandomVolumeAffine,
    RandomVolumeFlip,
    RandomVolumeIntensity,
    RandomVolumeRotation,
    RandomVolumeZoom,
)
from .training.cross_validation import CrossValidation, cross_validate
from .training.networks import transfer_encoder, volume_autoencoder, volume_classifier
from .training.optimal_scaling import (
    SizePredictability,
    optimal_scales,
    reference_scales,
    scale_volumes,
    scaled_brain_volumes,
    size_predictability,
)
from .training.pretraining import compare_transfer, pretrain_autoencoder

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
