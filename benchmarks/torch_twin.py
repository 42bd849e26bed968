"""A benchmark's Keras network as a PyTorch module with the same weights, for captum and MONAI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn


def torch_twin(path: Path) -> nn.Module:
    """Returns a module `(batch, channels, *spatial)` to logits, equal to the stored functional model.

    Of its layers, convolutions, max-pooling, flatten and dense are known, each with ReLU or nothing, and
    batch normalisation, ReLU and dropout as layers of their own.
    """
    import keras

    model = keras.saving.load_model(path)
    twin = nn.Sequential()
    before_flat: tuple[int, ...] | None = None
    for layer in model.layers:
        kind = type(layer).__name__
        if kind.startswith("Conv"):
            kernel, bias = layer.get_weights()
            rank = kernel.ndim - 2
            module = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[rank](
                *kernel.shape[-2:], kernel.shape[:-2]
            )
            _fill(module, np.moveaxis(kernel, (-1, -2), (0, 1)), bias)
        elif kind.startswith("MaxPooling"):
            rank = len(layer.input.shape) - 2
            module = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}[rank](layer.pool_size)
        elif kind == "Flatten":
            before_flat = tuple(layer.input.shape[1:])
            module = nn.Flatten()
        elif kind == "Dense":
            kernel, bias = layer.get_weights()
            if before_flat:  # PyTorch flattens channels first
                kernel = np.moveaxis(kernel.reshape(*before_flat, -1), -2, 0)
                kernel = kernel.reshape(-1, kernel.shape[-1])
                before_flat = None
            module = nn.Linear(*kernel.shape)
            _fill(module, kernel.T, bias)
        elif kind == "BatchNormalization":
            module = _normalisation(layer)
        elif kind == "ReLU":
            module = nn.ReLU()
        elif kind in ("InputLayer", "Dropout"):
            continue
        else:
            raise ValueError(f"No PyTorch twin for a layer {kind!r}.")
        twin.add_module(layer.name, module)
        if getattr(getattr(layer, "activation", None), "__name__", "linear") == "relu":
            twin.add_module(f"{layer.name}_relu", nn.ReLU())
    return twin.eval()


def _normalisation(layer) -> nn.Module:
    rank = len(layer.output.shape) - 2
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[rank]
    gamma, beta, mean, variance = layer.get_weights()
    module = kind(len(gamma), eps=layer.epsilon)
    _fill(module, gamma, beta)
    with torch.no_grad():
        module.running_mean.copy_(torch.from_numpy(mean))
        module.running_var.copy_(torch.from_numpy(variance))
    return module


def _fill(module: nn.Module, weight: np.ndarray, bias: np.ndarray) -> None:
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        module.bias.copy_(torch.from_numpy(bias))
