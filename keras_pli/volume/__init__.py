"""Brain MRI from the file to a map that lies on the image: cohorts, networks, explanations of volumes."""

from .augmentation import (
    RandomVolumeAffine,
    RandomVolumeFlip,
    RandomVolumeIntensity,
    RandomVolumeRotation,
    RandomVolumeZoom,
)
from .networks import transfer_encoder, volume_autoencoder, volume_classifier
from .optimal_scaling import (
    SizePredictability,
    optimal_scales,
    reference_scales,
    scale_volumes,
    scaled_brain_volumes,
    size_predictability,
)

__all__ = [
    "RandomVolumeAffine",
    "RandomVolumeFlip",
    "RandomVolumeIntensity",
    "RandomVolumeRotation",
    "RandomVolumeZoom",
    "SizePredictability",
    "optimal_scales",
    "reference_scales",
    "scale_volumes",
    "scaled_brain_volumes",
    "size_predictability",
    "transfer_encoder",
    "volume_autoencoder",
    "volume_classifier",
]
