"""The images of known truth that rationales are measured on; `keras_pli.synthetic` has them and more.

Example:
    >>> boxes(100, seed=1).images.shape
    (100, 28, 28, 1)
"""

from ..synthetic import (
    Boxes,
    ChestPhantoms,
    DigitsWithAttribute,
    boxes,
    chest_phantoms,
    digits_with_attribute,
)

__all__ = [
    "Boxes",
    "ChestPhantoms",
    "DigitsWithAttribute",
    "boxes",
    "chest_phantoms",
    "digits_with_attribute",
]
