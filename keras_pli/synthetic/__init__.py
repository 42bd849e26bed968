"""Data made on the spot of which one knows what decides their class, and what would change it.

An explanation claims where an input matters, or how it must change. Here this is known: of `known_truth` a
small object decides, in signals, images and volumes; `boxes` has two places that decide, of which a
classifier may content itself with one; `digits_with_attribute` has an attribute that has nothing to do with
the class and must stay; `chest_phantoms` has a heart whose width decides a continuous value, seen by two
scanners; `brain_phantoms` are volumes of heads where tissue is lost at a known place.
`train_known_truth` makes a classifier that has learned what decides. Nothing is downloaded.

Example:
    >>> data = boxes(100, seed=1)  # images in [−1, 1]
    >>> data.images.shape, data.masks.shape
    ((100, 28, 28, 1), (100, 28, 28))
"""

from .box_images import Boxes, boxes
from .brains import BrainPhantoms, brain_phantoms
from .chest import ChestPhantoms, chest_phantoms
from .digits import DigitsWithAttribute, digits_with_attribute
from .object_classifier import known_truth_classifier, train_known_truth
from .objects import KnownTruth, known_truth

__all__ = [
    "Boxes",
    "BrainPhantoms",
    "ChestPhantoms",
    "DigitsWithAttribute",
    "KnownTruth",
    "boxes",
    "brain_phantoms",
    "chest_phantoms",
    "digits_with_attribute",
    "known_truth",
    "known_truth_classifier",
    "train_known_truth",
]
