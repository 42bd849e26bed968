"""Models so simple that the least change is known in closed form."""

import keras
import numpy as np

LATENT, SIZE = 3, 4
PIXELS = SIZE * SIZE
RNG = np.random.default_rng(5)
DRAWING = RNG.normal(size=(LATENT, PIXELS)).astype("float32") * [[2.0], [1.0], [0.5]]


def linear(weights, bias=None, activation=None):
    """A model from codes to `weights.T @ code + bias`."""
    weights = np.asarray(weights, "float32")
    bias = np.zeros(weights.shape[1], "float32") if bias is None else np.asarray(bias, "float32")
    layer = keras.layers.Dense(weights.shape[1], activation=activation)
    model = keras.Sequential([keras.Input((len(weights),)), layer])
    layer.set_weights([weights, bias])
    return model


def linear_generator(drawing=DRAWING):
    """Images that are a linear function of codes."""
    codes = keras.Input((len(drawing),))
    flat = keras.layers.Dense(drawing.shape[1], use_bias=False)
    side = round(np.sqrt(drawing.shape[1]))
    model = keras.Model(codes, keras.layers.Reshape((side, side, 1))(flat(codes)))
    flat.set_weights([drawing])
    return model


def exact_encoder(drawing=DRAWING):
    """The generator's inverse, on the images that it can draw."""
    side = round(np.sqrt(drawing.shape[1]))
    images = keras.Input((side, side, 1))
    dense = keras.layers.Dense(len(drawing), use_bias=False)
    model = keras.Model(images, dense(keras.layers.Flatten()(images)))
    dense.set_weights([np.linalg.pinv(drawing)])
    return model


def small_models(of_images=False):
    """A bent generator, an encoder near to its inverse, and four classes that lie all around."""
    drawing = DRAWING / 4
    codes = keras.Input((LATENT,))
    flat = keras.layers.Dense(PIXELS, use_bias=False)
    bent = keras.layers.Activation("tanh")(flat(codes))
    generator = keras.Model(codes, keras.layers.Reshape((SIZE, SIZE, 1))(bent))
    flat.set_weights([drawing])
    encoder = exact_encoder(drawing)
    around = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], "float32")
    classifier = linear(4 * around.T, [0.5, 0.0, -0.5, 0.2], "softmax")
    if of_images:
        images = keras.Input((SIZE, SIZE, 1))
        classifier = keras.Model(images, classifier(encoder(images)))
    return generator, encoder, classifier


def drawn(generator, samples, seed=0):
    """Images of random codes, and the codes."""
    codes = np.random.default_rng(seed).normal(size=(samples, generator.input_shape[-1]))
    codes = codes.astype("float32")
    return generator(codes).numpy(), codes
