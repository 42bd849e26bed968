"""Small networks over 1, 2 and 3 axes with random weights, among them biases and moving averages."""

import keras
import numpy as np
import tensorflow as tf

LAYERS = keras.layers
AXES = (1, 2, 3)
SHAPES = {1: (14, 2), 2: (9, 8, 2), 3: (6, 5, 4, 2)}


def spatial(kind, axes):
    """The layer class of a kind for so many axes, such as `Conv2D`."""
    return getattr(LAYERS, f"{kind}{axes}D")


def samples(axes, count=5, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *SHAPES[axes])).astype(np.float32)


def randomized(model, seed=0):
    """Draws every weight anew, with kernels that keep activations near 1 and variances from 0.5 to 2."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if weight.path.endswith("variance"):
            value = rng.uniform(0.5, 2.0, shape)
        elif len(shape) > 1:
            value = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))
        else:
            value = rng.normal(scale=0.4, size=shape) + (1.0 if "gamma" in weight.path else 0.0)
        weight.assign(value)
    return model


def stem(axes, *, normalized=False):
    """Layers from an image to maps: convolution, ReLU and max-pooling, and once more without pooling."""
    convolution, pooling = spatial("Conv", axes), spatial("MaxPooling", axes)
    return [
        convolution(4, 3, padding="same", name="first"),
        *([LAYERS.BatchNormalization()] if normalized else []),
        LAYERS.ReLU(),
        pooling(2),
        convolution(5, 2, padding="same", activation="relu", name="last"),
    ]


def gap_network(axes, *, squash="softmax", normalized=False, seed=0):
    """Maps, their global average, one dense layer: the network that class activation maps are defined on."""
    head = [
        spatial("GlobalAveragePooling", axes)(),
        LAYERS.Dense(3, activation=squash, name="head"),
    ]
    layers = [keras.Input(SHAPES[axes]), *stem(axes, normalized=normalized), *head]
    return randomized(keras.Sequential(layers, name=f"gap{axes}"), seed)


def flat_network(axes, *, squash="softmax", normalized=False, seed=0):
    """Maps, flattened, a hidden layer and dropout before the last."""
    head = [
        LAYERS.Flatten(),
        LAYERS.Dense(6, activation="tanh", name="hidden"),
        LAYERS.Dropout(0.5),
        LAYERS.Dense(3, activation=squash, name="head"),
    ]
    layers = [keras.Input(SHAPES[axes]), *stem(axes, normalized=normalized), *head]
    return randomized(keras.Sequential(layers, name=f"flat{axes}"), seed)


class Subclassed(keras.Model):
    """A network that only its `call` knows."""

    def __init__(self, axes=2, **options):
        super().__init__(**options)
        self.first = spatial("Conv", axes)(4, 3, padding="same", name="first")
        self.last = spatial("Conv", axes)(5, 2, padding="same", activation="relu", name="last")
        self.pool = spatial("GlobalAveragePooling", axes)()
        self.drop = LAYERS.Dropout(0.5)
        self.head = LAYERS.Dense(3, name="head")

    def call(self, inputs):
        maps = self.last(keras.ops.relu(self.first(inputs)))
        return keras.ops.softmax(self.head(self.drop(self.pool(maps))))


def subclassed_network(axes=2, seed=0):
    model = Subclassed(axes, name=f"subclassed{axes}")
    model(samples(axes))
    return randomized(model, seed)


def nested_network(axes=2, seed=0):
    """A backbone within a model, called through the functional interface."""
    backbone = keras.Sequential(
        [keras.Input(SHAPES[axes]), *stem(axes, normalized=True)], name="backbone"
    )
    inputs = keras.Input(SHAPES[axes])
    features = spatial("GlobalAveragePooling", axes)()(LAYERS.Dropout(0.5)(backbone(inputs)))
    outputs = LAYERS.Softmax()(LAYERS.Dense(3, name="head")(features))
    return randomized(keras.Model(inputs, outputs, name=f"nested{axes}"), seed)


def chain(*layers, axes=2, name="net"):
    """A functional model of layers, one after another."""
    inputs = outputs = keras.Input(SHAPES[axes])
    for layer in layers:
        outputs = layer(outputs)
    return randomized(keras.Model(inputs, outputs, name=name))


def reference(model, x):
    """What a Sequential gives, layer by layer in NumPy and float64."""
    x = np.asarray(x, np.float64)
    for layer in model.layers:
        weights = [np.asarray(weight, np.float64) for weight in layer.get_weights()]
        kind = type(layer).__name__.rstrip("123D")
        if kind == "Conv":
            x = _windows(x, layer.kernel_size, layer.strides, layer.padding, 0.0)
            x = np.tensordot(x, weights[0], axes=layer.rank + 1) + weights[1]
        elif kind == "MaxPooling":
            x = _windows(x, layer.pool_size, layer.strides, layer.padding, -np.inf)
            x = x.max(axis=tuple(range(-len(layer.pool_size) - 1, -1)))
        elif kind == "BatchNormalization":
            gamma, beta, mean, variance = weights
            x = gamma * (x - mean) / np.sqrt(variance + layer.epsilon) + beta
        elif kind == "GlobalAveragePooling":
            x = x.mean(axis=tuple(range(1, x.ndim - 1)))
        elif kind == "Flatten":
            x = x.reshape(len(x), -1)
        elif kind == "Dense":
            x = x @ weights[0] + weights[1]
        else:
            assert kind in ("ReLU", "Dropout"), kind
        activation = "relu" if kind == "ReLU" else getattr(layer, "activation", None)
        x = _ACTIVATIONS[getattr(activation, "__name__", activation)](x)
    return x


_ACTIVATIONS = {
    None: lambda x: x,
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
}


def _windows(x, size, strides, padding, filling):
    """The windows of an image, `(samples, *positions, *window, channels)`."""
    if padding == "same":
        totals = [
            max((-(-length // stride) - 1) * stride + window - length, 0)
            for length, window, stride in zip(x.shape[1:-1], size, strides, strict=True)
        ]
        borders = [(total // 2, total - total // 2) for total in totals]
        x = np.pad(x, [(0, 0), *borders, (0, 0)], constant_values=filling)
    axes = tuple(range(1, x.ndim - 1))
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=axes)
    windows = windows[(slice(None), *(slice(None, None, stride) for stride in strides))]
    return np.moveaxis(windows, len(axes) + 1, -1)


def differences(model, x, target, step=1e-6):
    """∂(score of the target)/∂x of a Sequential, by central differences in float64, for every value of x."""
    x = np.asarray(x, np.float64)
    found = np.zeros_like(x)
    for place in np.ndindex(x.shape[1:]):
        move = np.zeros(x.shape[1:])
        move[place] = step
        above, below = (reference(model, x + m)[:, target] for m in (move, -move))
        found[(slice(None), *place)] = (above - below) / (2 * step)
    return found


def weights_of(model, path):
    """Kernel and bias of a layer, as float64."""
    from keras_pli.network.layers import find_layer

    layer = find_layer(model, path)
    return [np.asarray(weight, np.float64) for weight in layer.get_weights()]


def received(model):
    """The name of the maps that a model's pooling or head receives."""
    from keras_pli.network.forward import Network
    from keras_pli.network.maps import forward_with_maps

    names = []

    def run(*inputs):
        given = inputs if len(inputs) > 1 else inputs[0]
        found = forward_with_maps(Network(model), given)
        names.append(found.chosen().path)
        return found.forward.logits

    shapes = [tf.TensorSpec(tensor.shape) for tensor in model.inputs]
    tf.function(run, autograph=False).get_concrete_function(*shapes)
    return names[0]
