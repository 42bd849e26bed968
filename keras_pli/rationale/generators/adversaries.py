"""The two networks of a GAN, checked to fit each other."""

from __future__ import annotations

import keras

from ...checks import quoted
from ...network.layers import layer_paths
from ..model_shapes import input_shape, output_shape


def check_adversaries(
    generator: keras.Model, adversary: keras.Model, image_shape: tuple[int, ...], name: str
) -> None:
    """Refuses networks that do not fit each other or compute in less than float32.

    Args:
        generator: From codes to images.
        adversary: From images to one number.
        image_shape: Shape of an image.
        name: What the adversary is called, such as `"critic"`.

    Raises:
        TypeError: If one is not a Keras model.
        ValueError: If one is not built, a shape does not fit, or layers compute in less than float32.
    """
    for place, found, wanted in (
        ("generator's output", output_shape(generator, "generator"), image_shape),
        (f"{name}'s input", input_shape(adversary, name), image_shape),
        (f"{name}'s output", output_shape(adversary, name), (1,)),
    ):
        if found != wanted:
            raise ValueError(
                f"The {place} must have the shape {wanted} for a sample. Received: {found}."
            )
    codes = input_shape(generator, "generator")
    if len(codes) != 1:
        raise ValueError(f"The generator must take codes (samples, latent_size). It takes {codes}.")
    for network in (generator, adversary):
        other = [
            path for path, layer in layer_paths(network).items() if layer.compute_dtype != "float32"
        ]
        if other:
            raise ValueError(
                "A GAN is trained in float32 throughout. Make the network under the dtype policy "
                f"'float32'. Layers of {network.name!r} with another: {quoted(other)}."
            )
