"""Images made on the spot of which one knows what decides their class, and what would change it.

A rationale claims where an image must change, and how. Here this is known: `boxes` has two places that
decide, of which a classifier may content itself with one; `digits_with_attribute` has an attribute that has
nothing to do with the class and must stay; `chest_phantoms` has a heart whose width decides a continuous
value, seen by two scanners. Nothing is downloaded. Images are float32 `(samples, size, size, 1)` in [−1, 1].

Example:
    >>> data = boxes(100, seed=1)
    >>> data.images.shape, data.masks.shape
    ((100, 28, 28, 1), (100, 28, 28))
"""

from .boxes import Boxes, boxes
from .chest import ChestPhantoms, chest_phantoms
from .digits import DigitsWithAttribute, digits_with_attribute

__all__ = [
    "Boxes",
    "ChestPhantoms",
    "DigitsWithAttribute",
    "boxes",
    "chest_phantoms",
    "digits_with_attribute",
]
