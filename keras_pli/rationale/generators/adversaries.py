"""The two networks of a GAN, checked to fit each other."""

from __future__ import annotations

import keras

from ...checks import quoted
from ...layers import layer_paths
from ..model_shapes import input_shape, output_shape


def check_adversaries(
    generator: keras.Model, critic: keras.Model, image_shape: tuple[int, ...]
) -> None:
    """Refuses networks that a Wasserstein GAN with gradient penalty cannot train.

    Raises:
        TypeError: If one is no Keras model.
        ValueError: If one is not built, a shape does not fit, or layers compute in less than float32.
    """
    for name, found, wanted in (
        ("generator's output", output_shape(generator, "generator"), image_shape),
        ("critic's input", input_shape(critic, "critic"), image_shape),
        ("critic's output", output_shape(critic, "critic"), (1,)),
    ):
        if found != wanted:
            raise ValueError(
                f"The {name} must have the shape {wanted} for a sample. Received: {found}."
            )
    codes = input_shape(generator, "generator")
    if len(codes) != 1:
        raise ValueError(f"The generator must take codes (samples, latent_size). It takes {codes}.")
    for network in (generator, critic):
        other = [
            path for path, layer in layer_paths(network).items() if layer.compute_dtype != "float32"
        ]
        if other:
            raise ValueError(
                "A gradient penalty needs float32 throughout. Make the network under the dtype policy "
                f"'float32'. Layers of {network.name!r} with another: {quoted(other)}."
            )
