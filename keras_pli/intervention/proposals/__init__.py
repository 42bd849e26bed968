"""Changes of the training data that a layer's activations speak for, each with its reason and samples."""

from .duplicates import near_duplicates
from .everything import propose
from .groups import small_groups
from .proposal import Proposal, Proposals
from .suspicion import suspicious_labels
from .unlabelled import unlabelled_clusters

__all__ = [
    "Proposal",
    "Proposals",
    "near_duplicates",
    "propose",
    "small_groups",
    "suspicious_labels",
    "unlabelled_clusters",
]
