"""From a healthy heart to an enlarged one: what a classifier of chest phantoms reacts to, step by step.

After Dravid & Katsaggelos (2022, "Visual Explanations for Convolutional Neural Networks via Latent Traversal
of Generative Adversarial Networks"): a GAN whose codes hold a chest's structure and its class apart learns
with feedback from a frozen classifier. Then codes of real images are found, and the class code grows from
zero. Of phantoms one knows the true difference; the one found is scored against it, beside Grad-CAM.

    python examples/traversal_phantom.py --out runs/traversal_phantom          # 10 minutes on two cores
    python examples/traversal_phantom.py --out runs/look --quick               # 2; too short for good figures

Run again, it resumes, or with more --epochs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from phantom_networks import convolutional

import keras_pli as kp
from keras_pli import attribution, rationale
from keras_pli.synthetic import chest_phantoms

BATCH = 32


def make_gan(data, path, *, width, epochs):
    """Returns a GAN and the classifier that it learns from, trained as far as its file does not hold it."""
    if path.exists():
        gan = rationale.ClassLatentGAN.load(path)
    else:
        gan = rationale.ClassLatentGAN(
            convolutional(data.images, data.labels, classes=2, epochs=5),
            structure_size=24,
            block_size=4,
            width=width,
            average_decay=0.99,
            seed=0,
        )
        gan.compile(learning_rate=5e-4)
    done = int(gan.steps_done) // (len(data.images) // BATCH)
    saving = keras.callbacks.ModelCheckpoint(path)
    if done < epochs:
        gan.fit(data.images, epochs, BATCH, initial_epoch=done, callbacks=[saving], verbose=2)
    return gan


def draw_samples(gan, path, structures=8):
    """Draws each structure as healthy and, by three random class codes, as enlarged."""
    z1 = gan.sample_codes(structures, seed=1).z1
    rows = [gan.generate(z1, label, seed=seed) for seed, label in enumerate([0, 1, 1, 1])]
    images = np.concatenate(rows)
    chances = gan.classifier.predict(images, verbose=0)[:, 1]
    title = "Each column is one structure; above z₂ = 0, below three random class codes"
    figure = kp.plotting.image_strip(
        images,
        [f"p {p:.2f}" for p in chances],
        columns=structures,
        value_range=(-1, 1),
        title=title,
    )
    kp.plotting.save_figure(figure, path)


def draw_inversion(found, path, most=8):
    """Draws images above their reconstructions."""
    part = slice(0, most)
    images = np.concatenate([found.originals[part], found.images[part]])
    before, after = (
        chances[part, 1] for chances in (found.original_probabilities, found.probabilities)
    )
    captions = [f"p {p:.2f}" for p in before]
    captions += [f"p {p:.2f}, misses {e:.0%}" for p, e in zip(after, found.errors, strict=False)]
    title = "Held-out phantoms, and what the codes found for them give"
    figure = kp.plotting.image_strip(
        images, captions, columns=len(before), value_range=(-1, 1), title=title
    )
    kp.plotting.save_figure(figure, path)


def correlations(ways, originals, truths, cam):
    """Correlation with the true difference: of what the traversal changes, and of Grad-CAM."""
    heat = cam(originals, ways.labels).attributions
    maps = {"traversal": ways.differences, "Grad-CAM": heat.reshape(truths.shape)}
    scores = {
        name: np.nanmean(rationale.normalised_cross_correlation(values, truths))
        for name, values in maps.items()
    }
    shown = {"true difference": truths[:5]} | {name: values[:5] for name, values in maps.items()}
    return scores, kp.plotting.attribution_grid(
        originals[:5], shown, signed=True, value_range=(-1, 1)
    )


def main():
    """Trains or resumes, and explains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/traversal_phantom"))
    parser.add_argument("--epochs", type=int, default=40, help="of the GAN")
    parser.add_argument("--width", type=int, default=16, help="of the GAN's networks")
    parser.add_argument("--phantoms", type=int, default=4000, help="how many to learn from")
    parser.add_argument("--structures", type=int, default=1000, help="how many to measure with")
    parser.add_argument("--images", type=int, default=64, help="how many held-out ones to explain")
    parser.add_argument("--quick", action="store_true", help="fewer of all; too few to judge by")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.epochs, arguments.structures, arguments.images = 6, 200, 16
    out = arguments.out

    data, held_out = chest_phantoms(arguments.phantoms, seed=0), chest_phantoms(400, seed=1)
    gan = make_gan(data, out / "gan.keras", width=arguments.width, epochs=arguments.epochs)
    classifier = gan.classifier
    predicted = classifier.predict(held_out.images, verbose=0).argmax(axis=1)
    print(
        f"Accuracy on {len(predicted)} held-out phantoms: {np.mean(predicted == held_out.labels):.3f}"
    )
    draw_samples(gan, out / "samples.png")
    table = rationale.measure_traversal(gan, classifier, structures=arguments.structures)
    print(f"Over {arguments.structures} structures, each healthy once and enlarged three times:")
    print(table.to_string(float_format="{:.3f}".format))

    rows = np.flatnonzero((predicted == 1) & (held_out.labels == 1))[: arguments.images]
    found = gan.invert(held_out.images[rows], steps=500)
    draw_inversion(found, out / "inversion.png")
    print(
        f"{found.faithful.sum()} of {len(found)} held-out phantoms are reconstructed faithfully; "
        f"the median one misses {np.median(found.errors):.1%} of its variance."
    )
    ways = gan.traverse(found.z1, found.z2, class_names=("healthy", "enlarged"))
    for index in range(min(3, len(ways))):
        kp.plotting.save_figure(ways.plot(index), out / f"way_{index}.png")
    cam = attribution.GradCAM(classifier)
    grid = ways.plot_differences({"Grad-CAM": cam}, most=4)
    kp.plotting.save_figure(grid, out / "differences.png")
    scores, figure = correlations(ways, found.originals, held_out.differences[rows], cam)
    kp.plotting.save_figure(figure, out / "truth.png")
    for name, score in scores.items():
        print(f"Correlation with the true difference, {name}: {score:.3f}")
    print(f"See the pictures in {out}.")


if __name__ == "__main__":
    main()
