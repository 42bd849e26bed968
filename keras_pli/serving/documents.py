"""What an export says about itself: every signature with its tensors, in a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from ..version import __version__
from .signatures import Signature

SIGNATURES = "signatures.json"
CLASS_NAMES = "class_names.txt"


def documents(
    model: keras.Model,
    functions: Mapping[str, Any],
    signatures: Sequence[Signature],
    *,
    classes: int,
    class_names: Sequence[str] | None,
) -> dict[str, str]:
    """Returns the texts that lie in a SavedModel's assets, by file name."""
    described = {
        "model": model.name,
        "classes": classes,
        "class_names": None if class_names is None else list(class_names),
        "made_with": {
            "keras_pli": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
        "signatures": {s.name: _described(s, functions[s.name]) for s in signatures},
    }
    texts = {SIGNATURES: json.dumps(described, indent=2, ensure_ascii=False) + "\n"}
    if class_names is not None:
        texts[CLASS_NAMES] = "".join(f"{name}\n" for name in class_names)
    return texts


def _described(signature: Signature, function: Any) -> dict[str, Any]:
    return {
        "description": signature.description,
        **signature.settings,
        "inputs": _tensors(signature.specs, signature.meanings),
        "outputs": _tensors(function.structured_outputs, signature.meanings),
    }


def _tensors(tensors: Mapping[str, Any], meanings: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {
            "dtype": tensor.dtype.name,
            "shape": tensor.shape.as_list() if tensor.shape.rank is not None else None,
            "description": _meaning(name, meanings),
        }
        for name, tensor in tensors.items()
    }


def _meaning(name: str, meanings: Mapping[str, str]) -> str:
    """By the name itself or what it begins with; the rest are the model's own."""
    for known, meaning in meanings.items():
        if name == known or name.startswith(f"{known}_"):
            return meaning
    return meanings["*"]
