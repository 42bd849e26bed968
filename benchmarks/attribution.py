"""Attribution methods side by side on one trained network, in one table for each kind of input.

The same small CNN explains 256 images of Fashion-MNIST, and a 3-D one volumes. Every system runs in a process
of its own, in batches of 64, with 50 path steps or noise draws; seconds are medians of calls after a first
one. The floor is the bare gradient of the logit in a `tf.function`, called as often as the method needs it.
Integrated gradients and SmoothGrad lie below it, since their sum passes the first convolution once; DeepLIFT,
ε-LRP and Grad-CAM work on the layers' outputs beside that gradient, which no floor counts. Agreement is the
median over samples of Spearman's correlation with ours.

    python benchmarks/attribution.py                     # about 10 minutes on two cores
    python benchmarks/attribution.py --networks 3-D --repeats 5
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from bare import bare_forward, bare_gradient, in_batches
from measure import figures_of, in_fresh_process, seconds

BATCH, STEPS = 64, 50
WINDOWS = {"2-D": 7, "3-D": 8}
LIME_SAMPLES, LIME_IMAGES = 500, 8
MASK_STEPS = 100

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def make_network(kind: str, folder: Path) -> None:
    """Trains the network and stores it, its inputs and the classes it predicts."""
    import keras
    from keras import layers

    from keras_pli.synthetic import known_truth

    keras.utils.set_random_seed(0)
    if kind == "2-D":
        (x, y), (x_test, _) = keras.datasets.fashion_mnist.load_data()
        x, x_test = (part[..., None].astype("float32") / 255 for part in (x[:20_000], x_test[:256]))
        y, conv, pool = y[:20_000], layers.Conv2D, layers.MaxPooling2D
    else:
        data = known_truth(3, samples=1000, seed=0)
        x, y, x_test = data.x, data.y, data.x[:32]
        conv, pool = layers.Conv3D, layers.MaxPooling3D
    image = keras.Input(x.shape[1:])
    z = pool(2)(conv(16, 3, activation="relu", name="conv1")(image))
    z = pool(2)(conv(32, 3, activation="relu", name="conv2")(z))
    z = layers.Dense(64, activation="relu")(layers.Flatten()(z))
    model = keras.Model(image, layers.Dense(int(y.max()) + 1, name="logits")(z))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=2, batch_size=128, verbose=0)
    model.save(folder / "model.keras")
    classes = model.predict(x_test, verbose=0).argmax(axis=1)
    np.savez(folder / "data.npz", x=x_test, target=classes)


def ours(folder: Path, kind: str) -> dict[str, Method]:
    import keras

    from keras_pli import attribution as a

    model = keras.saving.load_model(folder / "model.keras")
    window = WINDOWS[kind]
    common = {"batch_size": BATCH}
    methods = {
        "Saliency": a.Saliency(model, **common),
        "GradientTimesInput": a.GradientTimesInput(model, **common),
        "SmoothGrad": a.SmoothGrad(model, samples=STEPS, **common),
        "IntegratedGradients": a.IntegratedGradients(model, steps=STEPS, **common),
        "InteriorGradients": a.InteriorGradients(model, steps=STEPS, **common),
        "GuidedIntegratedGradients": a.GuidedIntegratedGradients(model, steps=STEPS, **common),
        "GuidedBackprop": a.GuidedBackprop(model, **common),
        "Deconvnet": a.Deconvnet(model, **common),
        "EpsilonLRP": a.EpsilonLRP(model, **common),
        "DeepLIFT": a.DeepLIFT(model, **common),
        "GradCAM": a.GradCAM(model, layer="conv2", **common),
        "GuidedGradCAM": a.GuidedGradCAM(model, layer="conv2", **common),
        "Occlusion": a.Occlusion(model, window=window, stride=window, **common),
        "LIME": a.LIME(model, samples=LIME_SAMPLES, **common),
        "MeaningfulPerturbation": a.MeaningfulPerturbation(model, steps=MASK_STEPS, **common),
    }
    return {
        name: lambda x, target, method=method: method(x, target).attributions
        for name, method in methods.items()
    }


def floor(folder: Path, kind: str) -> dict[str, Method]:
    """The bare compiled calls that each method needs, for the same work."""
    import keras
    import tensorflow as tf

    model = keras.saving.load_model(folder / "model.keras")
    to_maps = keras.Model(model.input, model.get_layer("conv2").output)
    maps = keras.Input(to_maps.output.shape[1:])
    z = maps
    for layer in model.layers[model.layers.index(model.get_layer("conv2")) + 1 :]:
        z = layer(z)
    head = keras.Model(maps, z)

    @tf.function(reduce_retracing=True)
    def map_gradient(x, target):
        values = to_maps(x, training=False)
        with tf.GradientTape() as tape:
            tape.watch(values)
            score = tf.gather(head(values, training=False), target, axis=1, batch_dims=1)
        return tape.gradient(score, values)

    gradient, forward = bare_gradient(model), bare_forward(model)
    times = partial(in_batches, size=BATCH)
    window = WINDOWS[kind]
    size = model.input_shape[1]
    windows = (-(-size // window)) ** (len(model.input_shape) - 2)
    once = (
        "Saliency",
        "GradientTimesInput",
        "GuidedBackprop",
        "Deconvnet",
        "EpsilonLRP",
        "DeepLIFT",
    )
    many = ("SmoothGrad", "IntegratedGradients", "InteriorGradients", "GuidedIntegratedGradients")
    return {
        **{name: times(gradient, count=1) for name in once},
        **{name: times(gradient, count=STEPS) for name in many},
        "GradCAM": times(map_gradient, count=1),
        "GuidedGradCAM": times(gradient, count=1),
        "Occlusion": times(forward, count=windows + 1),
        "LIME": lambda x, target: times(forward, count=1)(
            np.repeat(x, LIME_SAMPLES, axis=0), np.repeat(target, LIME_SAMPLES)
        ),
        "MeaningfulPerturbation": times(gradient, count=MASK_STEPS),
    }


def tf_keras_vis(folder: Path, kind: str) -> dict[str, Method]:
    import keras
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.scores import CategoricalScore

    model = keras.saving.load_model(folder / "model.keras")
    saliency, cam = Saliency(model, clone=False), Gradcam(model, clone=False)

    def run(method, **options) -> Method:
        return lambda x, target: np.concatenate(
            [
                method(
                    CategoricalScore(target[start : start + BATCH].tolist()),
                    x[start : start + BATCH],
                    **options,
                )
                for start in range(0, len(x), BATCH)
            ]
        )

    raw = {"keepdims": True, "gradient_modifier": None, "normalize_map": False}
    cam_options = {"penultimate_layer": "conv2", "normalize_cam": False}
    return {
        "Saliency": run(saliency, **raw),
        "SmoothGrad": run(saliency, smooth_samples=STEPS, smooth_noise=0.15, **raw),
        "GradCAM": run(cam, **cam_options),
    }


def xplique(folder: Path, kind: str) -> dict[str, Method]:
    import keras
    from xplique import attributions as peer

    model = keras.saving.load_model(folder / "model.keras")
    classes = model.output_shape[-1]
    window = WINDOWS[kind]
    common = {"batch_size": BATCH}
    methods = {
        "Saliency": lambda: peer.Saliency(model, **common),
        "GradientTimesInput": lambda: peer.GradientInput(model, **common),
        "SmoothGrad": lambda: peer.SmoothGrad(model, nb_samples=STEPS, noise=0.15, **common),
        "IntegratedGradients": lambda: peer.IntegratedGradients(model, steps=STEPS, **common),
        "GuidedBackprop": lambda: peer.GuidedBackprop(model, **common),
        "Deconvnet": lambda: peer.DeconvNet(model, **common),
        "GradCAM": lambda: peer.GradCAM(model, conv_layer="conv2", **common),
        "Occlusion": lambda: peer.Occlusion(
            model, patch_size=window, patch_stride=window, occlusion_value=0.0, **common
        ),
        "LIME": lambda: peer.Lime(model, nb_samples=LIME_SAMPLES, **common),
    }

    def run(make) -> Method:
        made = []

        def call(x, target):
            if not made:
                made.append(make())
            return made[0](x, np.eye(classes, dtype="float32")[target]).numpy()

        return call

    return {name: run(make) for name, make in methods.items()}


def captum(folder: Path, kind: str) -> dict[str, Method]:
    import torch
    from captum import attr
    from torch_twin import torch_twin

    model = torch_twin(folder / "model.keras")
    window = WINDOWS[kind]
    rank = 2 if kind == "2-D" else 3
    chunk = {"internal_batch_size": BATCH}
    patch = {"sliding_window_shapes": (1, *[window] * rank), "strides": (1, *[window] * rank)}
    cam = attr.LayerGradCam(model, model.conv2_relu)

    def noise_tunnel(x, target):
        spread = float(0.15 * (x.max() - x.min()))
        tunnel = attr.NoiseTunnel(attr.Saliency(model))
        return tunnel.attribute(
            x, target=target, nt_samples=STEPS, nt_samples_batch_size=1, stdevs=spread, abs=False
        )

    def lime(x, target):
        explainer = attr.Lime(model)
        size = x.shape[2] // 4
        axes = [torch.arange(length) // size for length in x.shape[2:]]
        grid = torch.meshgrid(*axes, indexing="ij")
        parts = torch.stack(grid).flatten(1)
        ids = torch.unique(parts, dim=1, return_inverse=True)[1].reshape(x.shape[2:])
        return torch.cat(
            [
                explainer.attribute(
                    one[None],
                    target=int(aim),
                    feature_mask=ids[None, None],
                    n_samples=LIME_SAMPLES,
                    perturbations_per_eval=BATCH,
                )
                for one, aim in zip(x, target, strict=True)
            ]
        )

    def grad_cam(x, target):
        found = cam.attribute(x, target=target, relu_attributions=True)
        return attr.LayerAttribution.interpolate(
            found, tuple(x.shape[2:]), interpolate_mode="bilinear" if rank == 2 else "trilinear"
        )

    methods = {
        "Saliency": lambda x, t: attr.Saliency(model).attribute(x, target=t, abs=False),
        "GradientTimesInput": lambda x, t: attr.InputXGradient(model).attribute(x, target=t),
        "SmoothGrad": noise_tunnel,
        "IntegratedGradients": lambda x, t: attr.IntegratedGradients(model).attribute(
            x, target=t, n_steps=STEPS, method="riemann_middle", **chunk
        ),
        "GuidedBackprop": lambda x, t: attr.GuidedBackprop(model).attribute(x, target=t),
        "Deconvnet": lambda x, t: attr.Deconvolution(model).attribute(x, target=t),
        "EpsilonLRP": lambda x, t: attr.LRP(model).attribute(x, target=t),
        "DeepLIFT": lambda x, t: attr.DeepLift(model).attribute(x, target=t),
        "GradCAM": grad_cam,
        "GuidedGradCAM": lambda x, t: attr.GuidedGradCam(model, model.conv2_relu).attribute(
            x, target=t
        ),
        "Occlusion": lambda x, t: attr.Occlusion(model).attribute(x, target=t, **patch),
        "LIME": lime,
    }

    def run(method) -> Method:
        def call(x, target):
            parts = []
            for start in range(0, len(x), BATCH):
                part = torch.from_numpy(np.moveaxis(x[start : start + BATCH], -1, 1).copy())
                aim = torch.from_numpy(target[start : start + BATCH])
                parts.append(method(part.requires_grad_(), aim).detach().numpy())
            return np.moveaxis(np.concatenate(parts), 1, -1)

        return call

    return {name: run(method) for name, method in methods.items()}


SYSTEMS = {
    "keras_pli": ours,
    "floor": floor,
    "tf-keras-vis": tf_keras_vis,
    "xplique": xplique,
    "captum": captum,
}
PEERS = {"tf-keras-vis": "tf_keras_vis", "xplique": "xplique.attributions", "captum": "captum.attr"}


def measured(
    system: str, kind: str, folder: Path, repeats: int, chosen: list[str] | None
) -> dict[str, float | str]:
    """Median seconds of each method; what it found is stored beside, for the agreement."""
    with np.load(folder / "data.npz") as data:
        x, target = data["x"], data["target"]
    figures: dict[str, float | str] = {}
    for name, method in SYSTEMS[system](folder, kind).items():
        if chosen and name not in chosen:
            continue
        few = slice(0, LIME_IMAGES) if name == "LIME" else slice(None)
        try:
            found = method(x[few], target[few])
            took = [seconds(method, x[few], target[few])[1] for _ in range(repeats)]
        except Exception as error:  # a peer that cannot do it is a result, too
            print(f"{system}, {kind}, {name}: {error!r}"[:300], file=sys.stderr)
            figures[name] = "fails"
            continue
        figures[name] = float(np.median(took))
        if system != "floor":
            np.save(folder / f"{system}-{name}.npy", found)
    return figures


def agreement(folder: Path, peer: str, name: str) -> float:
    """Median over samples of the rank correlation of a peer's attributions with ours."""
    from scipy.stats import spearmanr

    pair = [np.load(folder / f"{system}-{name}.npy") for system in ("keras_pli", peer)]
    spatial = [maps.sum(axis=-1) if maps.shape[-1] == 1 else maps for maps in pair]
    rows = zip(*(maps.reshape(len(maps), -1) for maps in spatial), strict=True)
    return float(np.nanmedian([spearmanr(one, other).statistic for one, other in rows]))


def table(kind: str, folder: Path, figures: dict[str, dict[str, float | str]]) -> pd.DataFrame:
    rows, peers = [], [peer for peer in PEERS if peer in figures]
    for name, took in figures["keras_pli"].items():
        row: dict[str, object] = {"method": name, "ours s": took, "floor s": figures["floor"][name]}
        if isinstance(took, float):
            row["ours/floor"] = took / figures["floor"][name]
        for peer in peers:
            theirs = figures[peer].get(name, "-")
            row[f"{peer} s"] = theirs
            if isinstance(theirs, float) and isinstance(took, float):
                row[f"{peer} / ours"] = theirs / took
                row[f"{peer} agrees"] = agreement(folder, peer, name)
        rows.append(row)
    columns = ["method", "ours s", "floor s", "ours/floor"]
    columns += [f"{peer} {figure}" for peer in peers for figure in ("s", "/ ours", "agrees")]
    return pd.DataFrame(rows).reindex(columns=columns).set_index("method")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=list(WINDOWS), default=list(WINDOWS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", help="some methods instead of all")
    parser.add_argument("--only", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        folder, kind = Path(arguments.folder), arguments.networks[0]
        asked = arguments.only, kind, folder, arguments.repeats, arguments.methods
        print(figures_of(PEERS, arguments.only, lambda: measured(*asked)))
        return
    for kind in arguments.networks:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_network(kind, folder)
            options = ["--networks", kind, "--folder", name, "--repeats", str(arguments.repeats)]
            if arguments.methods:
                options += ["--methods", *arguments.methods]
            found = {system: in_fresh_process(__file__, system, *options) for system in SYSTEMS}
            figures = {system: rows for system, rows in found.items() if rows is not None}
            print(
                f"\n{kind} network\n{table(kind, folder, figures).to_string(float_format='{:.3f}'.format)}"
            )


if __name__ == "__main__":
    main()
