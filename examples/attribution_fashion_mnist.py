"""Every attribution method on the same images of Fashion-MNIST, and whether the maps can be believed.

A small CNN with a global-average-pooling head is trained; all methods explain its prediction, in one picture;
then the layers are randomised from the top down, and maps that stay as they were are called what they are.

    python examples/attribution_fashion_mnist.py --out runs/attribution
    python examples/attribution_fashion_mnist.py --data file.npz --epochs 2 --out runs/mine
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
from data import add_data_argument, load
from keras import layers

import keras_pli as kp
from keras_pli import attribution as a
from keras_pli import evaluation


def make_classifier(shape, classes):
    """Three blocks of convolutions, the maps of the last averaged into the logits."""
    image = keras.Input(shape)
    y = layers.Conv2D(32, 3, padding="same", activation="relu")(image)
    y = layers.MaxPooling2D()(y)
    y = layers.Conv2D(64, 3, padding="same", activation="relu")(y)
    y = layers.MaxPooling2D()(y)
    y = layers.Conv2D(64, 3, padding="same", activation="relu", name="maps")(y)
    y = layers.GlobalAveragePooling2D()(y)
    return keras.Model(image, layers.Dense(classes, activation="softmax")(y))


def all_methods(model):
    """Every method with its defaults; windows and masks follow from the size of the image."""
    return {
        "Saliency": a.Saliency(model),
        "Gradient × input": a.GradientTimesInput(model),
        "SmoothGrad": a.SmoothGrad(model),
        "Integrated gradients": a.IntegratedGradients(model),
        "Interior gradients": a.InteriorGradients(model),
        "Guided integrated gradients": a.GuidedIntegratedGradients(model),
        "Guided backprop": a.GuidedBackprop(model),
        "Deconvnet": a.Deconvnet(model),
        "ε-LRP": a.EpsilonLRP(model),
        "DeepLIFT": a.DeepLIFT(model),
        "CAM": a.CAM(model, layer="maps"),
        "Grad-CAM": a.GradCAM(model, layer="maps"),
        "Grad-CAM, counterfactual": a.GradCAM(model, layer="maps", counterfactual=True),
        "Guided Grad-CAM": a.GuidedGradCAM(model, layer="maps"),
        "Occlusion": a.Occlusion(model),
        "LIME": a.LIME(model),
        "Meaningful perturbation": a.MeaningfulPerturbation(model),
    }


def main():
    """Trains the classifier, draws all maps, and tests three of the methods."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/attribution"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--image", type=int, default=0, help="position in the test set")
    parser.add_argument("--target", type=int, help="class to explain (default: the predicted one)")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = load(keras.datasets.fashion_mnist, arguments.data)
    x, x_test = (part.reshape(*part.shape[:3], -1).astype("float32") / 255 for part in (x, x_test))
    model = make_classifier(x.shape[1:], int(y.max()) + 1)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=arguments.epochs, batch_size=128, validation_data=(x_test, y_test))

    methods = all_methods(model)
    image = x_test[arguments.image][None]
    maps = {name: method(image, arguments.target).attributions for name, method in methods.items()}
    figure = kp.plotting.attribution_grid(image, maps)
    kp.plotting.save_figure(figure, arguments.out / "attributions.png")

    checked = {"Saliency": a.Saliency, "Guided backprop": a.GuidedBackprop, "Grad-CAM": a.GradCAM}
    result = evaluation.model_randomization_test(checked, model, x_test[:32])
    kp.plotting.save_figure(
        kp.plotting.randomization_curves(result.table), arguments.out / "randomization.png"
    )
    for name, verdict in result.verdicts.items():
        print(f"{name}: {verdict}")
    print(f"Wrote {arguments.out / 'attributions.png'} and {arguments.out / 'randomization.png'}.")


if __name__ == "__main__":
    main()
