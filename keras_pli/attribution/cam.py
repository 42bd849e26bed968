"""Class activation maps: where among a layer's positions the evidence for a class lies."""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf

from ..checks import one_of
from ..network.backward import backpropagate
from ..network.backward_rules import guided_rules
from ..network.forward import Network, Target
from ..network.graph import operations_between
from ..network.layers import layer_path
from ..network.maps import (
    LayerMaps,
    Reshape,
    check_not_repeated,
    forward_with_maps,
    is_tensor_name,
)
from ..network.runner import batch_spec
from ..network.targets import target_scores
from ..network.whole_numbers import check_steps
from .attribution import Attribution
from .backprop import check_rectifiers
from .method import Method
from .pooled_head import check_pooled_head
from .resize import resize_linear

Tensor = Any


class ClassActivationMap(Method):
    """What class activation maps share: whose maps are weighed, and how they come back to the input's size.

    Args:
        model: A built Keras model that convolves over 1, 2 or 3 axes.
        layer: The layer whose maps are weighed, or its path; `"conv@1"` is the second run of a shared layer,
            and `"add:0"` what an operation outside of layers makes, as `map_layers` lists it. None takes what
            the pooling or head receives: the last maps of more than one position through which every way from
            the input to the logits leads, whatever makes them: an activation, an addition, a pooling, or an
            operation.
        reshape: A function from the output of `layer` to `(batch, *positions, channels)`, for layers that put
            out tokens, `(batch, tokens, channels)`. It may leave tokens out, as one for the class, and is
            applied to gradients as well, so that it must do no more than choose and arrange.
        alignment: `"input"` stretches the map over the whole input, as is usual; `"fields"` puts each of its
            values at the middle of the receptive field that it was made from, continued to the border of
            these fields, and 0 where none reaches. The two are the same where convolutions are padded and
            have no strides, and poolings divide the sizes; "valid" ones put a stretched map out of place by
            several positions, the more the later the layer.
        **options: `output`, `score`, `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: If there is no such layer, or it runs within a `TimeDistributed`; when called, if it has
            no maps that the logits depend on, if none is named and no one layer's maps decide the logits, if
            the maps lie in no one place of the input, as behind a roll, or if the model takes its input
            channels first.
        TypeError: If `reshape` is no function, or no layer is named for it.
    """

    # What is watched beside a layer; on an object only where it was given.
    tensor: str | None = None
    reshape: Reshape | None = None

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | keras.Layer | None = None,
        reshape: Reshape | None = None,
        alignment: Literal["input", "fields"] = "input",
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self.alignment = one_of(alignment, ("input", "fields"), "alignment")
        # What is explained is the output; `layer` only says where it is watched.
        output, score = self.network.output, self.network.score
        path = None if layer is None else layer_path(model, layer)
        if is_tensor_name(path, model):
            self.tensor, path = path, None
        self.network = Network(model, output=output, score=score, record=path)
        if path is not None:
            check_not_repeated(model, self.network.find(path)[0])
        if reshape is not None:
            if not callable(reshape) or path is None:
                raise TypeError(
                    "`reshape` must be a function of the output of a layer, named by `layer`. Received: "
                    f"reshape={reshape!r}, layer={layer!r}."
                )
            self.reshape = reshape

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        class_map, maps, scores = self.class_map(x, target)
        place = maps.over.index(True)
        resized = self._resized(class_map, maps, place, tf.nest.flatten(x)[place])
        return Attribution(resized, scores, details={"map": class_map})

    def _resized(self, class_map: Tensor, maps: LayerMaps, place: int, below: Tensor) -> Tensor:
        """The map at the positions of one of the inputs."""
        sizes = tuple(below.shape[1 : class_map.shape.rank])
        if self.alignment == "fields":
            return resize_linear(class_map, sizes, fields=maps.fields(place))
        return resize_linear(class_map, sizes, maps.stretches(place))

    def class_map(self, x: Any, target: Target) -> tuple[Tensor, LayerMaps, Tensor]:
        """Returns the map of each sample at the layer's size, what it was made from, and the scores."""
        found = forward_with_maps(self.network, x)
        maps = found.chosen(self.tensor, self.reshape)
        scores = target_scores(found.forward.logits, target)
        gradients = tf.cast(maps.arranged(backpropagate(scores, maps.tensor)), tf.float32)
        return self.weighed(maps, gradients, found.forward.logits), maps, scores

    def weighed(self, maps: LayerMaps, gradients: Tensor, logits: Tensor) -> Tensor:
        """Returns the weighted sum of maps over their channels, `(batch, *positions)`.

        Args:
            maps: The maps.
            gradients: Of the score by the maps, float32 of shape `(batch, *positions, channels)`.
            logits: What the score was read from.
        """
        raise NotImplementedError

    def map_layers(self, x: Any) -> tuple[str, ...]:
        """Returns what can be named as `layer`, for inputs like `x`, in the order it is made.

        Of what all ways to the logits lead through, the last is used where no `layer` is named.
        """

        def function(inputs: Any) -> dict[str, Tensor]:
            return {maps.path: maps.tensor for maps in forward_with_maps(self.network, inputs).all}

        return tuple(self.runner.traced(function, [batch_spec(x)], "maps").structured_outputs)


class CAM(ClassActivationMap):
    """The maps that a global average pooling receives, summed by the weights of a class behind it.

    M(p) = Σₖ wₖ fₖ(p) at each position p, for the weights wₖ of the class and the maps fₖ (Zhou et al. 2016,
    equation 2). It keeps its sign: its mean is the score less the bias. The weights are read off the
    gradient, so that several linear layers may follow one another.

    Args:
        model: A built Keras model with nothing but a global average pooling and linear layers above the maps.
        layer: The layer whose maps are weighed, or its path; None for what the pooling receives.
        reshape: What makes maps of a layer's tokens, as in `GradCAM`.
        **options: `alignment`, as in `ClassActivationMap`; `output`, `score`, `batch_size` and
            `jit_compile`, as in `Method`.

    Raises:
        ValueError: If there is no such layer; when called, if the model's head is another, there are no
            maps, or the model takes its input channels first.

    Returns:
        Attributions of shape `(samples, *positions)`, the map resized to the input's positions, or to those
        that a crop in the model leaves, with 0 around; of several inputs, to those of the first that the maps
        are made from. `details["map"]` is the map as it was.

    Example:
        >>> import keras, numpy as np
        >>> layers = keras.layers
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(3)
        ... ])
        >>> found = CAM(model)(np.ones((5, 8, 8, 1)), target=2)
        >>> found.attributions.shape, found.details["map"].shape
        ((5, 8, 8), (5, 6, 6))
    """

    def weighed(self, maps: LayerMaps, gradients: Tensor, logits: Tensor) -> Tensor:
        """See `ClassActivationMap.weighed`."""
        check_pooled_head(maps, logits, self.network.model.name)
        # The pooling shares a weight out among the positions.
        weights = tf.reduce_sum(gradients, axis=_positions(gradients), keepdims=True)
        return _weighted_sum(maps.arranged(maps.tensor), weights)


class GradCAM(ClassActivationMap):
    """Maps weighed by how much the score grows with each, on average over its positions.

    M = ReLU(Σₖ αₖ fₖ) with αₖ the mean of ∂S/∂fₖ(p) over the positions p (Selvaraju et al. 2017, equations 1
    and 2). Where a global average pooling and a linear layer follow, Σₖ αₖ fₖ is the map of `CAM` divided
    by the number of positions.

    The last maps of a volume are coarse: behind three poolings a cell has 8³ voxels, and what is smaller is
    not found in it. Take an early layer then, and weights at each position, since the mean over all
    positions of an early layer tells little: `layer="pool_1", weights="positive"` for the network of
    `volume_classifier`. In brain phantoms of 40 × 48 × 40 voxels, where the hippocampi decide, 0.7 % of the
    brain, the strongest voxels had a Dice of 0.49 with these, 0.47 with `"elementwise"` and 0.06 with
    `"mean"`; at `pool_2` 0.34, 0.34 and 0.23 with `alignment="fields"`, and below 0.1 without; at `pool_3`,
    the default, 0.00 to 0.04. Gradient times input had 0.39.

    Args:
        model: A built Keras model that convolves over 1, 2 or 3 axes.
        layer: The layer whose maps are weighed, or its path, as `"backbone/conv3"`; `"conv@1"` is the second
            run of a shared layer, and `"add:0"` what an operation outside of layers makes. None takes what
            the pooling or head receives: the last maps of more than one position through which every way from
            the input to the logits leads, whatever makes them: an activation, an addition, a pooling, or an
            operation. Earlier layers give finer maps; `map_layers` lists them.
        reshape: A function from the output of `layer` to `(batch, *positions, channels)`, for layers that put
            out tokens, `(batch, tokens, channels)`. It may leave tokens out, as one for the class, and is
            applied to gradients as well, so that it must do no more than choose and arrange.
        counterfactual: Weigh by −αₖ: what speaks for another class.
        relu: Whether to set what speaks against the score to 0.
        weights: What each map is weighed by: `"mean"`, αₖ; `"elementwise"`, the gradient itself at each
            position, M = ReLU(Σₖ ∂S/∂fₖ(p) fₖ(p)), HiResCAM (Draelos & Carin 2020); or `"positive"`, where
            it is positive and 0 elsewhere, LayerCAM (Jiang et al. 2021), for early layers.
        **options: `alignment`, as in `ClassActivationMap`; `output`, `score`, `batch_size` and `jit_compile`,
            as in `Method`.

    Raises:
        ValueError: If there is no such layer, or it runs within a `TimeDistributed`; when called, if it has
            no maps that the logits depend on, if none is named and several parts of the network read the
            input apart or mix its positions as tokens, or if the model takes its input channels first.

    Returns:
        Attributions of shape `(samples, *positions)`, the map resized to the input's positions, or to those
        that a crop in the model leaves, with 0 around; of several inputs, to those of the first that the maps
        are made from. `details["map"]` is the map as it was.

    Example:
        >>> import keras, numpy as np
        >>> layers = keras.layers
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 1)), layers.Conv2D(4, 3, name="conv"), layers.Flatten(), layers.Dense(3)
        ... ])
        >>> found = GradCAM(model, layer="conv")(np.ones((5, 8, 8, 1)), target=2)
        >>> found.attributions.shape, found.details["map"].shape
        ((5, 8, 8), (5, 6, 6))

        A vision transformer, whose 16 tokens stand for 4 by 4 patches:

        >>> inputs = keras.Input((8, 8, 1))
        >>> tokens = layers.Reshape((16, 6))(layers.Conv2D(6, 2, strides=2)(inputs))
        >>> tokens = tokens + layers.MultiHeadAttention(2, 3)(tokens, tokens)
        >>> tokens = layers.LayerNormalization(name="block")(tokens)
        >>> model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(tokens)))
        >>> grad_cam = GradCAM(model, layer="block", reshape=lambda t: keras.ops.reshape(t, (-1, 4, 4, 6)))
        >>> grad_cam(np.ones((5, 8, 8, 1)), target=2).details["map"].shape
        (5, 4, 4)

        With a token for the class in front, `reshape` takes `t[:, 1:]`, and `layer` is one before the last
        attention: behind it the other tokens do not count.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | keras.Layer | None = None,
        reshape: Reshape | None = None,
        counterfactual: bool = False,
        relu: bool = True,
        weights: Literal["mean", "elementwise", "positive"] = "mean",
        **options: Any,
    ) -> None:
        super().__init__(model, layer=layer, reshape=reshape, **options)
        self.counterfactual = counterfactual
        self.relu = relu
        self.weights = one_of(weights, ("mean", "elementwise", "positive"), "weights")

    def weighed(self, maps: LayerMaps, gradients: Tensor, logits: Tensor) -> Tensor:
        """See `ClassActivationMap.weighed`."""
        weights = -gradients if self.counterfactual else gradients
        if self.weights == "mean":
            weights = tf.reduce_mean(weights, axis=_positions(weights), keepdims=True)
        elif self.weights == "positive":
            weights = tf.nn.relu(weights)
        summed = _weighted_sum(maps.arranged(maps.tensor), weights)
        return tf.nn.relu(summed) if self.relu else summed


class GuidedGradCAM(GradCAM):
    """Guided backpropagation times the resized Grad-CAM: fine detail, where the class is seen.

    (Selvaraju et al. 2017). It is as blind to the upper layers' weights as guided
    backpropagation is (Adebayo et al. 2018).

    Args:
        model: A built Keras model that convolves over 1, 2 or 3 axes, with ReLUs.
        layer: The layer whose maps are weighed, or its path, as in `GradCAM`.
        reshape: What makes maps of its tokens, as in `GradCAM`.
        **options: `counterfactual`, `relu`, `weights` and `alignment`, as in `GradCAM`; `output`, `score`,
            `batch_size` and `jit_compile`, as in `Method`.

    Raises:
        ValueError: As `GradCAM`; when called, if guided backpropagation meets no ReLU.

    Returns:
        Attributions shaped like the inputs; 0 for an input that the maps are not made from. `details["map"]`
        is the map at the layer's size.

    Example:
        >>> import keras, numpy as np
        >>> layers = keras.layers
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.ReLU(), layers.Flatten(), layers.Dense(3)
        ... ])
        >>> GuidedGradCAM(model)(np.ones((5, 8, 8, 1)), target=2).attributions.shape
        (5, 8, 8, 1)
    """

    def compute(self, x: Any, target: Target, baseline: Any = None) -> Attribution:
        """Explains a batch of tensors (see `Method.compute`)."""
        class_map, maps, scores = self.class_map(x, target)
        check_steps(self.network.model, x, scores)
        check_rectifiers(operations_between(x, scores), type(self).__name__)
        guided = backpropagate(scores, x, guided_rules())
        products = [
            gradients * self._laid_over(gradients, class_map, maps, place)
            if maps.over[place]
            else tf.zeros_like(gradients)
            for place, gradients in enumerate(tf.nest.flatten(guided))
        ]
        attributions = tf.nest.pack_sequence_as(x, products)
        return Attribution(attributions, scores, details={"map": class_map})

    def _laid_over(self, tensor: Tensor, class_map: Tensor, maps: LayerMaps, place: int) -> Tensor:
        resized = self._resized(class_map, maps, place, tensor)
        return resized[..., None] if tensor.shape.rank > resized.shape.rank else resized


def _weighted_sum(maps: Tensor, weights: Tensor) -> Tensor:
    # No matrix product, which a GPU would round to TensorFloat-32.
    return tf.reduce_sum(weights * tf.cast(maps, tf.float32), axis=-1)


def _positions(maps: Tensor) -> list[int]:
    return list(range(1, maps.shape.rank - 1))
