"""The loss on a grid of weights: `loss_surface` against assigning weights and `model.evaluate`.

Both start from a compiled model that has been evaluated once, and go over the same plane; the surface's time
includes tracing its function. Losses of both are compared. Medians over repeats; with each, the product with
the Hessian that sharpness is made of, as a multiple of a gradient.

    python benchmarks/inspection_landscape.py
    python benchmarks/inspection_landscape.py --grid 25 --repeats 5
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from measure import median_rows, seconds


def dense():
    import keras

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(64, "relu"),
            keras.layers.Dense(10),
        ]
    )


def convolutional():
    import keras
    from keras import layers

    parts = [layers.Conv2D(16, 3, strides=2, activation="relu") for _ in range(3)]
    return keras.Sequential(
        [keras.Input((28, 28, 1)), *parts, layers.GlobalAveragePooling2D(), layers.Dense(10)]
    )


def residual():
    import keras
    from keras import layers

    image = keras.Input((28, 28, 1))
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    for _ in range(9):
        inner = layers.Conv2D(8, 3, padding="same", use_bias=False)(y)
        inner = layers.ReLU()(layers.BatchNormalization()(inner))
        y = layers.Add()([y, layers.Conv2D(8, 3, padding="same")(inner)])
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(y)))


MODELS = {
    "dense, 51k weights": dense,
    "3 convolutions": convolutional,
    "19 layers, skips": residual,
}


def naive(model, x, y, directions, steps):
    """The surface as a loop over points that writes to the model."""
    start = model.get_weights()
    variables, losses = model.trainable_variables, np.empty((len(steps), len(steps)))
    weights = [variable.numpy() for variable in variables]
    for i, a in enumerate(steps):
        for j, b in enumerate(steps):
            for variable, w, d, e in zip(variables, weights, *directions, strict=True):
                variable.assign(w + a * d + b * e)
            losses[i, j] = model.evaluate(x, y, batch_size=256, verbose=0)[0]
    model.set_weights(start)
    return losses


def measured(make, samples: int, grid: int) -> dict[str, float]:
    import keras

    from keras_pli import inspection
    from keras_pli.inspection.landscape.data_loss import DataLoss

    rng = np.random.default_rng(0)
    x, y = rng.random((samples, 28, 28, 1), dtype=np.float32), rng.integers(0, 10, samples)
    model = make()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    model.evaluate(x, y, batch_size=256, verbose=0)
    directions = inspection.filter_normalized_directions(model)
    steps = np.linspace(-1, 1, grid)
    ours, fast = seconds(
        lambda: inspection.loss_surface(model, x, y, directions, alphas=steps, metrics=["accuracy"])
    )
    theirs, slow = seconds(naive, model, x, y, directions, steps)
    np.testing.assert_allclose(ours.losses, theirs, rtol=1e-4)
    mean = DataLoss(model, x, y)
    weights = mean.weights()
    product, vector = mean.hessian_product(weights), rng.normal(size=mean.size)
    product(vector), mean.gradient(weights)
    each = [(seconds(product, vector)[1], seconds(mean.gradient, weights)[1]) for _ in range(5)]
    products, gradients = np.median(each, axis=0)
    points = grid**2
    return {
        "evaluate, ms a point": 1000 * slow / points,
        "loss_surface, ms a point": 1000 * fast / points,
        "times faster": slow / fast,
        "Hessian product, gradients": products / gradients,
    }


def main():
    """Measures each model, and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", type=int, default=15, help="points along each direction")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    table = {
        name: median_rows(
            [measured(make, arguments.samples, arguments.grid) for _ in range(arguments.repeats)]
        )
        for name, make in MODELS.items()
    }
    frame = pd.DataFrame(table).T
    print(f"{arguments.grid} × {arguments.grid} points, {arguments.samples} images of 28 × 28:")
    print(frame.to_string(float_format=lambda value: f"{value:.1f}"))


if __name__ == "__main__":
    main()
