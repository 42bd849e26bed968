"""Is this heart too wide? Rationales of a BNP reading, on phantoms of chest radiographs by two scanners.

After Seah et al. (2018, "Generating Visual Rationales through Latent Space Optimization"): a GAN and an
encoder learn from unlabelled images, a linear regressor learns BNP from the codes of labelled ones, and
images are changed until the reading predicted is no more than 100 ng/L. Of phantoms one knows what decides,
the heart's width, so rationales are scored, beside saliency, occlusion, integrated gradients and LIME. Then
another scanner's images are read from few labels, by codes of the same encoder.

    python examples/rationale_phantom.py --out runs/rationale_phantom     # 15 minutes on two cores
    python examples/rationale_phantom.py --out runs/look --quick          # 2; too short for good figures

Run again, it resumes, and trains no GAN or encoder that the folder holds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from phantom_networks import convolutional
from rationale_networks import Settings, make_encoder, make_generator
from sklearn.linear_model import Ridge
from sklearn.metrics import RocCurveDisplay, roc_auc_score

import keras_pli as kp
from keras_pli import attribution, rationale
from keras_pli.synthetic import chest_phantoms

CUTOFF = rationale.scale_bnp(100.0)  # above it heart failure is assumed
AT_CUTOFF = 0.5  # the ratio of heart to thorax that has this reading
WINDOW = 8


def fit(encoder, regressor, data, epochs):
    """Trains a regressor of scaled BNP on codes, and measures it on other patients."""
    regressor.compile(keras.optimizers.Adam(3e-3), "mse", jit_compile=False)
    return rationale.fit_latent_classifier(
        encoder,
        regressor,
        data.images,
        data.targets,
        groups=data.groups,
        positive=lambda targets: targets > CUTOFF,
        epochs=epochs,
        batch_size=32,
    )


def heat_maps(why, model):
    """The rationales, and what other methods say of the same regressor (figures 5 and 8 of the paper)."""
    methods = {
        "Saliency": attribution.Saliency(model),
        f"Occlusion, {WINDOW} × {WINDOW}": attribution.Occlusion(model, window=WINDOW, stride=1),
        "Integrated gradients": attribution.IntegratedGradients(model, baseline=-1.0),
        "LIME": attribution.LIME(model),
    }
    maps = {"Rationale": why.rationales}
    for name, method in methods.items():
        maps[name] = method(why.originals, target=0).attributions
    return maps


def against_truth(maps, truths, borders):
    """Correlation of maps with the true difference, and how much of them lies on the heart's border."""
    rows = {}
    for name, heat in maps.items():
        ink, pixels = abs(heat), (1, 2, 3)
        inside = (ink * borders[..., None]).sum(pixels) / ink.sum(pixels)
        correlation = rationale.normalised_cross_correlation(heat, truths)
        rows[name] = {"correlation": np.nanmean(correlation), "on the border": inside.mean()}
    rows["(one value everywhere)"] = {"correlation": np.nan, "on the border": borders.mean()}
    return pd.DataFrame.from_dict(rows, orient="index")


def with_few_labels(encoder, data, labels, *, epochs, seed):
    """Classes and predicted readings of other patients, by networks that had so many labelled images."""
    shares = {"seen": labels, "others": len(data.images) - labels}
    seen, others = rationale.split_by_group(data.groups, shares, seed=seed).values()
    codes = encoder.predict(data.images, batch_size=256, verbose=0)
    # In closed form: from so few labels, Adam leaves most of a layer's random weights as they are.
    linear = Ridge().fit(codes[seen], data.targets[seen])
    deep = rationale.residual_network(codes.shape[1], 1, activation=None, seed=seed)
    deep.compile(keras.optimizers.Adam(3e-3), "mse", jit_compile=False)
    deep.fit(codes[seen], data.targets[seen], epochs=epochs, verbose=0)
    scratch = convolutional(data.images[seen], data.targets[seen], epochs=epochs)
    scores = {
        "codes, linear": linear.predict(codes[others]),
        "codes, six residual layers": deep.predict(codes[others], verbose=0),
        "images, convolutional": scratch.predict(data.images[others], verbose=0),
    }
    return {name: (data.labels[others], values.ravel()) for name, values in scores.items()}


def draw_curves(curves, path):
    """Draws a ROC curve for each entry, of classes and scores."""
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    ax = figure.add_subplot()
    for name, (labels, scores) in curves.items():
        RocCurveDisplay.from_predictions(labels, scores, name=name, ax=ax)
    ax.set(xlabel="false positive rate", ylabel="true positive rate")
    ax.legend(loc="lower right", fontsize=8, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    kp.plotting.save_figure(figure, path)


def draw_scanners(generator, encoder, path, patients=8):
    """Draws what either scanner sees of the same patients, and what becomes of the second's images."""
    a, b = (chest_phantoms(patients, scanner=name, seed=4).images for name in "ab")
    again = generator.predict(encoder.predict(b, verbose=0), verbose=0)
    captions = np.full((3, patients), "", dtype=object)
    captions[:, 0] = "scanner A", "scanner B", "B, generated"
    figure = kp.plotting.image_strip(
        np.concatenate([a, b, again]),
        captions.ravel().tolist(),
        columns=patients,
        value_range=(-1, 1),
    )
    kp.plotting.save_figure(figure, path)


def explain_hearts(generator, encoder, arguments):
    """Trains a regressor, explains whom it calls ill, and returns it with its classes and readings."""
    data, out = chest_phantoms(1000, healthy=AT_CUTOFF, seed=2), arguments.out
    regressor = rationale.linear_regressor(encoder.output_shape[-1])
    learned = fit(encoder, regressor, data, arguments.head_epochs)
    labels, readings = data.labels[learned.held_out], learned.scores[:, 0]
    print(f"Scanner A, {len(labels)} phantoms of other patients: AUC {learned.auc:.3f}")
    rows = learned.held_out[(labels == 1) & (readings > CUTOFF)][: arguments.images]
    if not len(rows):
        raise SystemExit("The regressor calls no held-out phantom positive. Train it longer.")
    explain = rationale.RationaleGenerator(generator, encoder, regressor, cutoff=CUTOFF)
    why = explain(data.images[rows])
    print("\n".join([why.summary(), *why.verdicts[:6]]))
    seen = np.setdiff1d(np.arange(len(data.images)), learned.held_out)
    judge = convolutional(data.images[seen], data.targets[seen], epochs=arguments.head_epochs)
    for name, images in (("before", why.reconstructions), ("after", why.images)):
        reading = np.median(rationale.unscale_bnp(judge.predict(images, verbose=0)))
        print(f"Median reading by another network, {name} the change: {reading:.0f} ng/L")
    maps = heat_maps(why, rationale.through_encoder(encoder, regressor))
    table = against_truth(maps, data.differences[rows], data.masks[rows])
    print(f"Against the known truth\n{table.to_string(float_format='{:.3f}'.format)}")

    title = "What makes BNP too high"
    kp.plotting.save_figure(why.plot(most=6, title=title), out / "rationales.png")
    kp.plotting.save_figure(why.plot_path(0), out / "path.png")
    beside = {"True difference": data.differences[rows], **maps}
    figure = kp.plotting.attribution_grid(
        why.originals[:4],
        {name: heat[:4] for name, heat in beside.items()},
        row_labels=[f"{bnp:.0f} ng/L" for bnp in data.bnp[rows[:4]]],
        signed=True,
        value_range=(-1, 1),
    )
    kp.plotting.save_figure(figure, out / "beside.png")
    print(f"See {why.to_html(out / 'rationales.html', title=title)} and the pictures beside it.")
    return regressor, (labels, readings)


def compare_scanners(encoder, regressor, of_a, arguments):
    """Reads another scanner's images by the same encoder, with few labels, and without any."""
    data = chest_phantoms(2000, scanner="b", seed=3)
    unchanged = regressor.predict(encoder.predict(data.images, verbose=0), verbose=0)
    print(f"Scanner B, A's regressor as it is: AUC {roc_auc_score(data.labels, unchanged):.3f}")
    scores, curves = {}, {"A: codes, linear": of_a}
    for labels in sorted(arguments.labels):
        draws = [
            with_few_labels(encoder, data, labels, epochs=arguments.head_epochs, seed=seed)
            for seed in range(arguments.draws)
        ]
        scores[labels] = pd.DataFrame(
            [{name: roc_auc_score(*result) for name, result in found.items()} for found in draws]
        ).mean()
        if labels == min(arguments.labels):
            curves |= {f"B, {labels} labels: {name}": result for name, result in draws[0].items()}
    table = pd.DataFrame(scores).rename_axis(columns="labels")
    print(f"Scanner B, AUC of other patients\n{table.to_string(float_format='{:.3f}'.format)}")
    draw_curves(curves, arguments.out / "roc.png")


def main():
    """Trains the networks, or reads those in the folder, and explains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/rationale_phantom"))
    parser.add_argument("--epochs", type=int, default=80, help="of the GAN")
    parser.add_argument("--head-epochs", type=int, default=100, help="of networks with labels")
    parser.add_argument("--width", type=int, default=16, help="of GAN and encoder")
    parser.add_argument("--phantoms", type=int, default=4000, help="how many without labels")
    parser.add_argument("--labels", type=int, nargs="+", default=[15, 50, 200], help="of B")
    parser.add_argument("--draws", type=int, default=3, help="of those that have labels")
    parser.add_argument("--images", type=int, default=64, help="how many to explain")
    parser.add_argument("--quick", action="store_true", help="fewer of all; too few to judge by")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.epochs, arguments.head_epochs, arguments.images, arguments.draws = 8, 20, 8, 1

    x, x_test = (chest_phantoms(n, seed=s).images for n, s in ((arguments.phantoms, 0), (400, 1)))
    epochs, width = arguments.epochs, arguments.width
    settings = Settings(24, width, epochs, encoder_epochs=max(1, epochs // 4), half_life=1000)
    generator = make_generator(x, x_test, settings, arguments.out)
    encoder = make_encoder(x, x_test, generator, settings, arguments.out)
    regressor, of_a = explain_hearts(generator, encoder, arguments)
    draw_scanners(generator, encoder, arguments.out / "scanners.png")
    compare_scanners(encoder, regressor, of_a, arguments)


if __name__ == "__main__":
    main()
