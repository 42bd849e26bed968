"""Brain MRI from the file to a map that lies on the image: cohorts, networks, explanations of volumes."""

from .networks import transfer_encoder, volume_autoencoder, volume_classifier

__all__ = [
    "transfer_encoder",
    "volume_autoencoder",
    "volume_classifier",
]
