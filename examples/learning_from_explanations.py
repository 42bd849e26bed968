"""How much an explanation teaches: students that learn from a classifier's predictions and its explanations.

A classifier learns to find a small object in images whose truth is known. Students then learn its predictions
on few images, some with an explanation of each, and are judged on other images without any. How many images
they need, with each method, beside no explanation, random maps and the true place of the object, is the
measure that Seah et al. (2018) propose.

    python examples/learning_from_explanations.py --out runs/student          # offline, some minutes
    python examples/learning_from_explanations.py --digits --out runs/digits   # with rationales beside
    python examples/learning_from_explanations.py --data file.npz --out runs/mine

The digits are explained by rationales as well, by the small networks that come with the package. A file may
hold masks_test beside, True where the class is decided; without, there is no known truth to compare with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from data import add_data_argument
from sklearn.datasets import load_digits

from keras_pli import attribution as a
from keras_pli import evaluation, plotting, rationale
from keras_pli.synthetic import known_truth, known_truth_classifier, train_known_truth


def phantom():
    """A classifier, the images it is asked about and those held out, and where the truth lies."""
    data, held_out = known_truth(2), known_truth(2, samples=1000, seed=1)
    classifier = train_known_truth(data, held_out, accuracy=0.97)
    asked = known_truth(2, samples=512, seed=2)
    return classifier, asked.x, held_out.x, asked.masks


def digits():
    """The same of scikit-learn's digits, without a known truth; and rationales of the predictions."""
    generator, encoder, of_codes = rationale.digit_networks()
    classifier = keras.Sequential([keras.Input(encoder.input_shape[1:]), encoder, of_codes])
    images = rationale.letterbox(load_digits().images[..., None] / 16, encoder.input_shape[1])
    images = rationale.to_range(images, source=(0, 1))
    order = np.random.default_rng(0).permutation(len(images))
    x, held_out = images[order[:512]], images[order[512:]]
    search = rationale.RationaleGenerator(generator, encoder, of_codes, confidence=0.99)
    return classifier, x, held_out, None, {"Rationales": search(x, verbose=1).rationales}


def from_file(path, epochs):
    """The same of a file: the first half of its test set is explained, the other is held out."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored}
    x, x_test = (arrays[name].astype("float32") for name in ("x_train", "x_test"))
    low, high = x.min(), x.max()
    x, x_test = ((part - low) / (high - low) for part in (x, x_test))
    if x.ndim == 3:
        x, x_test = x[..., None], x_test[..., None]
    y = arrays["y_train"].reshape(len(x))
    body = known_truth_classifier(2, size=x.shape[1]).layers[:-1]  # to the average of the last maps
    if x.shape[1:] != (x.shape[1], x.shape[1], 1):
        raise SystemExit(f"Images must be square and grey. Received shape {x.shape[1:]}.")
    head = keras.layers.Dense(int(y.max()) + 1, activation="softmax")
    classifier = keras.Sequential([keras.Input(x.shape[1:]), *body, head])
    classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(x, y, epochs=epochs, batch_size=64, verbose=2)
    half = len(x_test) // 2
    masks = arrays.get("masks_test")
    return classifier, x_test[:half], x_test[half:], None if masks is None else masks[:half]


def main():
    """Trains the classifier, explains its predictions, and lets students learn from them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--digits", action="store_true", help="digits, with rationales beside")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("runs/student"))
    arguments = parser.parse_args()
    if arguments.digits:
        classifier, x, held_out, masks, maps = digits()
    else:
        made = from_file(arguments.data, arguments.epochs) if arguments.data else phantom()
        classifier, x, held_out, masks, maps = *made, {}

    said, truth = (classifier.predict(part, verbose=0).argmax(axis=1) for part in (x, held_out))
    if masks is not None:
        maps["known truth"] = masks.astype("float32")
    maps |= {
        "Saliency": a.Saliency(classifier)(x),
        "Grad-CAM": a.GradCAM(classifier)(x),
        "Integrated gradients": a.IntegratedGradients(classifier, steps=32)(x),
    }
    found = evaluation.student_test(
        x,
        said,
        maps,
        (held_out, truth),
        sizes=[size for size in arguments.sizes if size <= len(x)],
        seeds=arguments.seeds,
        steps=arguments.steps,
        verbose=1,
    )
    table = found.to_frame()
    print(table.pivot(index="method", columns="samples", values="agreement").round(3).to_string())
    level = float(found.agreement[0].mean(axis=1)[-1])
    print(
        f"\nImages that students need to agree on {level:.1%}, as with all images and no explanation:"
    )
    print(found.samples_needed(level).round().to_string())
    arguments.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.out / "student.csv", index=False)
    plotting.save_figure(
        found.plot(title="What a student learns from explanations"), arguments.out / "student.png"
    )


if __name__ == "__main__":
    main()
