"""Volumes side by side with bare TensorFlow and with MONAI: training, streaming, maps, memory.

Each figure is measured in a process of its own. A part is a function that prints a table; `--parts` chooses.

- `training`: volumes per second in training the network of Kan et al. on 40 × 48 × 40 voxels, from NIfTI
  files as `Cohort.dataset` streams them, from its cache of arrays and from memory, beside bare steps by hand.
- `memory`: what a process holds after streaming 100 and 1,000 files of 64³ voxels.
- `methods`: volumes per second of each method, beside bare gradients or forward passes, as many as it needs.
- `monai`: Grad-CAM and occlusion of MONAI on a PyTorch module with the same weights: time, and the largest
  difference of its maps from ours.

    python benchmarks/volume.py                        # about a quarter of an hour on two cores
    python benchmarks/volume.py --parts methods monai --shape 32 36 32 --volumes 8 --filters 8 16 32
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from bare import bare_forward, bare_gradient, in_batches
from measure import figures_of, in_fresh_process, peak_megabytes, seconds

SHAPE, FILTERS = (40, 48, 40), (32, 64, 128)
BATCH = 8
PATH_STEPS, MASK_STEPS = 16, 100
WINDOW = 8
MEMORY_SIZE, MEMORY_FILES = 64, (100, 1000)

Figures = dict[str, float]


def volumes(arguments, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Brains in zeros as a network receives them, and classes."""
    from keras_pli.synthetic import brain_phantoms

    shape = tuple(arguments.shape)
    few = brain_phantoms(min(count, 16), shape=shape, head=False, seed=0)
    order = np.arange(count) % len(few.images)
    return few.images[order][..., None] / 100, few.labels[order].astype(np.int32)


def network(arguments):
    import keras

    from keras_pli.volume import volume_classifier

    keras.utils.set_random_seed(0)
    model = volume_classifier(tuple(arguments.shape), filters=tuple(arguments.filters))
    model.compile(
        keras.optimizers.Adam(3e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return model


def cohort_of_files(folder: Path, shape: tuple[int, ...], count: int):
    """A cohort of NIfTI files, of which sixteen differ and the others are hard links to these."""
    from keras_pli.synthetic import brain_phantoms
    from keras_pli.volume import read_cohort

    table = pd.read_csv(brain_phantoms(16, shape=shape, seed=0).write(folder / "made"))
    rows = []
    for number in range(count):
        row = table.iloc[number % len(table)]
        names = {kind: f"{kind}-{number:05}.nii.gz" for kind in ("path", "mask")}
        for kind, name in names.items():
            os.link(folder / "made" / row[kind], folder / name)
        rows.append({**names, "label": row["label"], "subject": f"sub-{number:05}"})
    return read_cohort(pd.DataFrame(rows), root=folder)


def preprocessing(shape: tuple[int, ...]):
    from keras_pli.volume import Preprocessing

    return Preprocessing(shape=shape, skull_stripping="mask")


def training_files(arguments) -> Figures:
    """Volumes per second of `fit` on streams: the first epoch from images, later ones from the cache."""
    model, shape = network(arguments), tuple(arguments.shape)
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        cohort = cohort_of_files(Path(name), shape, arguments.volumes)
        for label, cache in (("from NIfTI files", None), ("from its cache", f"{name}/cache")):
            data = cohort.dataset(preprocessing(shape), batch_size=BATCH, shuffle=True, cache=cache)
            model.fit(data, epochs=1, shuffle=False, verbose=0)  # traces, and fills the cache
            _, took = seconds(lambda data=data: model.fit(data, epochs=1, shuffle=False, verbose=0))
            figures[label] = arguments.volumes / took
            _, took = seconds(lambda data=data: sum(len(x) for x, _ in data))
            figures[f"{label}, stream alone"] = arguments.volumes / took
    return figures


def training_memory(arguments) -> Figures:
    model, (x, y) = network(arguments), volumes(arguments, arguments.volumes)
    model.fit(x[:BATCH], y[:BATCH], batch_size=BATCH, verbose=0)
    _, took = seconds(lambda: model.fit(x, y, batch_size=BATCH, verbose=0))
    return {"from memory": len(x) / took}


def training_floor(arguments) -> Figures:
    """A loop of steps by hand: the loss, its gradients and Adam in one compiled function."""
    import tensorflow as tf

    model, (x, y) = network(arguments), volumes(arguments, arguments.volumes)

    @tf.function(reduce_retracing=True)
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = model.loss(labels, model(images, training=True))
        slopes = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(slopes, model.trainable_variables)
        return loss

    def epoch():
        for start in range(0, len(x), BATCH):
            part = slice(start, start + BATCH)
            step(tf.constant(x[part]), tf.constant(y[part])).numpy()

    epoch()
    _, took = seconds(epoch)
    return {"bare steps": len(x) / took}


def memory(arguments) -> Figures:
    """Megabytes that a process holds while it streams files, after so many of them."""
    shape = (arguments.memory_size,) * 3
    checkpoints = sorted(arguments.memory_files)
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        cohort = cohort_of_files(Path(name), shape, checkpoints[-1])
        seen = 0
        for x, _ in cohort.dataset(preprocessing(shape), batch_size=BATCH):
            before, seen = seen, seen + len(x)
            for checkpoint in checkpoints:
                if before < checkpoint <= seen:
                    figures[f"resident after {checkpoint:,}"] = resident_megabytes()
                    figures[f"peak after {checkpoint:,}"] = peak_megabytes()
    figures["of all volumes as arrays"] = seen * np.prod(shape) * 4 / 2**20
    return figures


def resident_megabytes() -> float:
    """What this process holds, by Linux; NaN elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def explaining(arguments) -> dict[str, tuple[Callable, str, int]]:
    """The methods, and which bare passes each needs, and how many."""
    from keras_pli import attribution as a

    model, common = network(arguments), {"batch_size": BATCH}
    windows = int(np.prod([-(-size // WINDOW) for size in arguments.shape]))

    def brain(x):
        return x[..., 0] != 0

    paths = {"steps": PATH_STEPS, **common}
    masks = a.MeaningfulPerturbation(
        model, steps=MASK_STEPS, patience=MASK_STEPS, within=brain, **common
    )
    occlusion = a.Occlusion(model, window=WINDOW, stride=WINDOW, **common)
    return {
        "Saliency": (a.Saliency(model, **common), "gradient", 1),
        "GradientTimesInput": (a.GradientTimesInput(model, **common), "gradient", 1),
        "SmoothGrad": (a.SmoothGrad(model, samples=PATH_STEPS, **common), "gradient", PATH_STEPS),
        "IntegratedGradients": (a.IntegratedGradients(model, **paths), "gradient", PATH_STEPS),
        "InteriorGradients": (a.InteriorGradients(model, **paths), "gradient", PATH_STEPS),
        "GuidedIntegratedGradients": (
            a.GuidedIntegratedGradients(model, **paths),
            "gradient",
            PATH_STEPS,
        ),
        "GuidedBackprop": (a.GuidedBackprop(model, **common), "gradient", 1),
        "Deconvnet": (a.Deconvnet(model, **common), "gradient", 1),
        "EpsilonLRP": (a.EpsilonLRP(model, **common), "gradient", 1),
        "DeepLIFT": (a.DeepLIFT(model, **common), "gradient", 1),
        "GradCAM": (a.GradCAM(model, **common), "forward", 1),
        "GradCAM of pool_1": (a.GradCAM(model, layer="pool_1", **common), "forward", 1),
        "GuidedGradCAM": (a.GuidedGradCAM(model, **common), "gradient", 1),
        "Occlusion": (occlusion, "forward", windows + 1),
        "LIME": (a.LIME(model, samples=PATH_STEPS, **common), "forward", PATH_STEPS),
        "MeaningfulPerturbation": (masks, "gradient", MASK_STEPS),
    }


def methods_ours(arguments) -> Figures:
    x, y = volumes(arguments, arguments.volumes)
    found = {}
    for name, (method, _, passes) in explaining(arguments).items():
        method(x[:1], y[:1])
        # Kept short: a method of many passes explains one batch, the others all volumes.
        count = len(x) if passes == 1 else min(BATCH, len(x))
        _, took = seconds(lambda method=method, count=count: method(x[:count], y[:count]))
        found[name] = count / took
    return found


def methods_floor(arguments) -> Figures:
    """Volumes per second of the bare passes of each method, by hand."""
    model, (x, y) = network(arguments), volumes(arguments, arguments.volumes)
    rates = {}
    for name, bare in (("gradient", bare_gradient), ("forward", bare_forward)):
        passes = in_batches(bare(model), BATCH)
        passes(x, y)
        _, took = seconds(passes, x, y)
        rates[name] = len(x) / took
    needs = {name: need for name, (_, *need) in explaining(arguments).items()}
    return {name: rates[kind] / count for name, (kind, count) in needs.items()}


def monai(arguments) -> Figures:
    """Seconds for each volume of MONAI and of ours, and the largest difference over the largest value."""
    import torch
    from monai.visualize import GradCAM, OcclusionSensitivity
    from torch_twin import torch_twin

    from keras_pli import attribution as a

    model, (x, y) = network(arguments), volumes(arguments, min(arguments.volumes, BATCH))
    with tempfile.TemporaryDirectory() as name:
        model.compile()  # the optimizer stays behind
        model.save(f"{name}/model.keras")
        twin = torch_twin(Path(name) / "model.keras")
    given = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    # Not normalised: what is compared is in units of the score.
    cam = GradCAM(twin, target_layers="pool_2", postprocessing=lambda maps: maps)
    occlusion = OcclusionSensitivity(
        twin, mask_size=WINDOW, n_batch=BATCH, overlap=0.0, mode="mean_img", activate=False,
        verbose=False,
    )  # fmt: skip
    ours = {
        "Grad-CAM": a.GradCAM(model, layer="pool_2", batch_size=BATCH),
        "occlusion": a.Occlusion(
            model, window=WINDOW, stride=WINDOW, fill="mean", batch_size=BATCH
        ),
    }

    def monai_cam():
        return np.concatenate(
            [
                cam(one[None], class_idx=int(label)).detach().numpy()[:, 0]
                for one, label in zip(given, y, strict=True)
            ]
        )

    def monai_occlusion():
        with torch.no_grad():
            whole = twin(given).numpy()
            found = [
                whole[i, label] - np.asarray(occlusion(given[i : i + 1])[0])[0, label]
                for i, label in enumerate(y)
            ]
        return np.stack(found)

    figures: Figures = {}
    for name, peer in (("Grad-CAM", monai_cam), ("occlusion", monai_occlusion)):
        method = ours[name]
        method(x, y)
        peer()
        found, took = seconds(method, x, y)
        other, peer_took = seconds(peer)
        maps = found.attributions.reshape(other.shape)
        figures[f"{name}: ours s"] = took / len(x)
        figures[f"{name}: MONAI s"] = peer_took / len(x)
        figures[f"{name}: difference"] = float(abs(maps - other).max() / abs(other).max())
    return figures


SYSTEMS = {
    "training_files": training_files,
    "training_memory": training_memory,
    "training_floor": training_floor,
    "memory": memory,
    "methods_ours": methods_ours,
    "methods_floor": methods_floor,
    "monai": monai,
}
MODULES = {"monai": "monai.visualize"}


def print_training(run: Callable[[str], Figures]) -> None:
    rates = {**run("training_floor"), **run("training_memory"), **run("training_files")}
    table = pd.DataFrame({"volumes/s": rates})
    table["of bare steps"] = table["volumes/s"] / rates["bare steps"]
    print(table.round(2).to_string(), flush=True)


def print_memory(run: Callable[[str], Figures]) -> None:
    print(pd.DataFrame({"MB": run("memory")}).round(0).to_string(), flush=True)


def print_methods(run: Callable[[str], Figures]) -> None:
    table = pd.DataFrame({"volumes/s": run("methods_ours"), "bare": run("methods_floor")})
    table["times as long"] = table["bare"] / table["volumes/s"]
    print(table.round(2).to_string(), flush=True)


def print_monai(run: Callable[[str], Figures]) -> None:
    figures = run("monai")
    rows = [
        {
            "map": name,
            **{key: figures[f"{name}: {key}"] for key in ("ours s", "MONAI s", "difference")},
        }
        for name in ("Grad-CAM", "occlusion")
        if figures
    ]
    if rows:
        table = pd.DataFrame(rows).set_index("map")
        table.insert(2, "MONAI / ours", table["MONAI s"] / table["ours s"])
        print(table.to_string(float_format="{:.2g}".format), flush=True)


PARTS = {
    "training": print_training,
    "memory": print_memory,
    "methods": print_methods,
    "monai": print_monai,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--volumes", type=int, default=64)
    parser.add_argument("--shape", nargs=3, type=int, default=SHAPE, metavar=("X", "Y", "Z"))
    parser.add_argument("--filters", nargs="+", type=int, default=FILTERS)
    parser.add_argument("--memory-size", type=int, default=MEMORY_SIZE)
    parser.add_argument("--memory-files", nargs="+", type=int, default=MEMORY_FILES)
    parser.add_argument("--only", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(figures_of(MODULES, arguments.only, lambda: SYSTEMS[arguments.only](arguments)))
        return
    for part in arguments.parts:
        print(f"\n{part}", flush=True)
        PARTS[part](lambda system: in_fresh_process(__file__, system, *sys.argv[1:]) or {})


if __name__ == "__main__":
    main()
