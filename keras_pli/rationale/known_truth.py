"""The images of known truth that rationales are measured on; they are made in `keras_pli.synthetic`."""

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
