"""3-D networks: the classifier of Kan et al., an autoencoder of the same blocks, transfer between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ...checks import checked_number

FILTERS = (32, 64, 128)
_KERNEL, _POOL = 3, 2


def volume_classifier(
    input_shape: Sequence[int],
    classes: int = 2,
    *,
    filters: Sequence[int] = FILTERS,
    dropout: float = 0.5,
    batch_norm: bool = True,
    seed: int = 0,
) -> keras.Model:
    """Builds the paper's 3-D network, with fresh weights.

    Each block is a convolution of 3³ without padding, batch normalisation, ReLU and max-pooling by 2. After
    the blocks come flattening, dropout and a linear layer (Kan et al. 2020, "Interpretation of 3D
    Convolutional Neural Networks for Brain MRI Data Classification", whose network for 58×70×58 voxels
    has 322,818 trainable parameters). The layers of block i are `conv_i`, `norm_i`, `relu_i` and `pool_i`;
    the last layer is `logits`.

    Args:
        input_shape: (X, Y, Z) of a volume with one channel, or (X, Y, Z, channels).
        classes: Number of classes.
        filters: Filters of each block; its length is the number of blocks.
        dropout: Share of features dropped in training.
        batch_norm: Whether blocks normalise.
        seed: Seed of the weights and of dropout.

    Returns:
        A functional `keras.Model` from (samples, X, Y, Z, channels) to logits (samples, classes), not
        compiled. Train it with `SparseCategoricalCrossentropy(from_logits=True)`.

    Raises:
        ValueError: If a volume is too small for the blocks (the least size is named), or an argument is no
            such number.

    Example:
        >>> network = volume_classifier((24, 28, 24), filters=(4, 8, 8))
        >>> network.output_shape, network.get_layer("conv_3").output.shape
        ((None, 2), (None, 2, 3, 2, 8))
    """
    shape, filters = _checked(input_shape, filters)
    checked_number(classes, "classes", least=2, whole=True)
    checked_number(dropout, "dropout", least=0, below=1)
    volumes = keras.Input(shape, name="volumes")
    y = _encoder(volumes, filters, batch_norm, seed)
    y = keras.layers.Flatten(name="flatten")(y)
    y = keras.layers.Dropout(dropout, seed=seed, name="dropout")(y)
    logits = keras.layers.Dense(
        classes,
        kernel_initializer=keras.initializers.GlorotUniform(seed),
        dtype="float32",  # a softmax of float16 logits loses small probabilities
        name="logits",
    )(y)
    return keras.Model(volumes, logits, name="volume_classifier")


def volume_autoencoder(
    input_shape: Sequence[int],
    *,
    filters: Sequence[int] = FILTERS,
    batch_norm: bool = True,
    seed: int = 0,
) -> keras.Model:
    """Builds an autoencoder whose encoder has the blocks of `volume_classifier`, under the same names.

    The decoder mirrors them: each block is repeated along its axes by 2 and brought back to the size that
    the encoder's block received by a transposed convolution of 3³. The code are the maps of the last
    pooling layer. Fitted to volumes without labels (`fit(x, x)`), its encoder is a start for a classifier of
    few labelled ones: see `transfer_encoder`.

    Args:
        input_shape: (X, Y, Z) of a volume with one channel, or (X, Y, Z, channels).
        filters: Filters of each block of the encoder.
        batch_norm: Whether blocks normalise.
        seed: Seed of the weights.

    Returns:
        A functional `keras.Model` from (samples, X, Y, Z, channels) to the same shape, linear at the end,
        not compiled.

    Raises:
        ValueError: As `volume_classifier` does.

    Example:
        >>> network = volume_autoencoder((24, 28, 25), filters=(4, 8, 8))
        >>> network.output_shape
        (None, 24, 28, 25, 1)
    """
    shape, filters = _checked(input_shape, filters)
    volumes = keras.Input(shape, name="volumes")
    y = _encoder(volumes, filters, batch_norm, seed)
    received = _received(shape[:3], len(filters))
    for block in reversed(range(1, len(filters) + 1)):
        last = block == 1
        y = keras.layers.UpSampling3D(_POOL, name=f"repeat_{block}")(y)
        # Pooling left out the last voxel of an axis of odd length.
        missing = [(0, (size - _KERNEL + 1) % _POOL) for size in received[block - 1]]
        if any(end for _, end in missing):
            y = keras.layers.ZeroPadding3D(missing, name=f"pad_{block}")(y)
        y = keras.layers.Conv3DTranspose(
            shape[3] if last else filters[block - 2],
            _KERNEL,
            kernel_initializer=keras.initializers.GlorotUniform(seed + block),
            dtype="float32" if last else None,
            name=f"back_{block}",
        )(y)
        if not last:
            y = _normalised(y, batch_norm, f"back_norm_{block}")
            y = keras.layers.ReLU(name=f"back_relu_{block}")(y)
    return keras.Model(volumes, y, name="volume_autoencoder")


def transfer_encoder(
    autoencoder: keras.Model, classifier: keras.Model, *, freeze: bool = False
) -> keras.Model:
    """Copies the weights of an autoencoder's encoder into a classifier with the same blocks.

    All layers `conv_i` and `norm_i` of the classifier get the weights of the autoencoder's layers of these
    names, the moving moments of the normalisation too. The sizes of the volumes may differ.

    Args:
        autoencoder: A `volume_autoencoder`, trained.
        classifier: A `volume_classifier` with the same filters. It is changed in place.
        freeze: Whether the copied layers are made untrainable: then only the last layer learns. Compile the
            classifier afterwards.

    Returns:
        The classifier.

    Raises:
        ValueError: If a layer is missing in the autoencoder or has weights of other shapes. Nothing has been
            copied then.

    Example:
        >>> autoencoder = volume_autoencoder((10, 10, 10), filters=(2, 4))
        >>> classifier = transfer_encoder(
        ...     autoencoder, volume_classifier((12, 12, 12), filters=(2, 4), seed=1)
        ... )
        >>> a, c = (model.get_layer("conv_2").kernel.numpy() for model in (autoencoder, classifier))
        >>> bool((a == c).all())
        True
    """
    encoder = [layer for layer in classifier.layers if layer.name.startswith(("conv_", "norm_"))]
    known = {layer.name: layer for layer in autoencoder.layers}
    if not encoder:
        raise ValueError(
            "`classifier` has no layer `conv_1`, as `volume_classifier` has. "
            f"Received layers: {[layer.name for layer in classifier.layers]}."
        )
    pairs = []
    for layer in encoder:
        source = known.get(layer.name)
        wanted = [tuple(weight.shape) for weight in layer.weights]
        given = None if source is None else [tuple(weight.shape) for weight in source.weights]
        if source is None or given != wanted:
            raise ValueError(
                f"The classifier's layer {layer.name!r} has weights of shapes {wanted}, the "
                f"autoencoder's {'does not exist' if given is None else given}. "
                "Build both with the same `filters` and `batch_norm`."
            )
        pairs.append((source, layer))
    for source, layer in pairs:
        layer.set_weights(source.get_weights())
        if freeze:
            layer.trainable = False
    return classifier


def _checked(
    input_shape: Sequence[int], filters: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = tuple(input_shape)
    if len(shape) not in (3, 4):
        raise ValueError(
            f"`input_shape` must be (X, Y, Z) or (X, Y, Z, channels). Received: {input_shape!r}."
        )
    shape = shape if len(shape) == 4 else (*shape, 1)
    filters = tuple(checked_number(f, "filters", least=1, whole=True) for f in filters)
    if not filters:
        raise ValueError("`filters` must name at least one block. Received: ().")
    least = 1
    for _ in filters:
        least = least * _POOL + _KERNEL - 1
    for size in shape[:3]:
        if checked_number(size, "input_shape", least=1, whole=True) < least:
            raise ValueError(
                f"{len(filters)} blocks need at least {least} voxels along every axis. Received: "
                f"{shape[:3]}. Resample to smaller voxels, or use fewer `filters`."
            )
    checked_number(shape[3], "input_shape", least=1, whole=True)
    return shape, filters


def _received(shape: tuple[int, ...], blocks: int) -> list[tuple[int, ...]]:
    """The sizes (X, Y, Z) that each block receives."""
    sizes = [shape]
    for _ in range(blocks - 1):
        sizes.append(tuple((size - _KERNEL + 1) // _POOL for size in sizes[-1]))
    return sizes


def _encoder(y: Any, filters: tuple[int, ...], batch_norm: bool, seed: int) -> Any:
    for block, count in enumerate(filters, start=1):
        y = keras.layers.Conv3D(
            count,
            _KERNEL,
            kernel_initializer=keras.initializers.HeNormal(seed + block),
            name=f"conv_{block}",
        )(y)
        y = _normalised(y, batch_norm, f"norm_{block}")
        y = keras.layers.ReLU(name=f"relu_{block}")(y)
        y = keras.layers.MaxPooling3D(_POOL, name=f"pool_{block}")(y)
    return y


def _normalised(y: Any, batch_norm: bool, name: str) -> Any:
    if not batch_norm:
        return y
    # PyTorch's constants, as in the paper. Keras's momentum of 0.99 is too slow for some hundred steps.
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(y)
