"""Do the maps lie on what decided? All methods on images, signals and volumes whose answer is known.

The class of each sample is decided by a small object at a known place; a network is trained to 99 % or more,
and its attributions for samples it gets right are compared with the object's mask, beside a random map, the
edges of the sample and a blob in its middle. Means over samples with 95 % intervals.

    python benchmarks/localization.py                    # 1-D, 2-D and 3-D; some minutes on two cores
    python benchmarks/localization.py --dimensions 3 --samples 64
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from keras_pli import attribution as a
from keras_pli import evaluation, synthetic


def methods(model):
    return {
        "Saliency": a.Saliency(model),
        "GradientTimesInput": a.GradientTimesInput(model),
        "SmoothGrad": a.SmoothGrad(model),
        "IntegratedGradients": a.IntegratedGradients(model),
        "InteriorGradients": a.InteriorGradients(model),
        "GuidedIntegratedGradients": a.GuidedIntegratedGradients(model),
        "GuidedBackprop": a.GuidedBackprop(model),
        "Deconvnet": a.Deconvnet(model),
        "EpsilonLRP": a.EpsilonLRP(model),
        "DeepLIFT": a.DeepLIFT(model),
        "CAM": a.CAM(model),
        "GradCAM": a.GradCAM(model),
        "GuidedGradCAM": a.GuidedGradCAM(model),
        "Occlusion": a.Occlusion(model),
        "LIME": a.LIME(model),
        "MeaningfulPerturbation": a.MeaningfulPerturbation(model),
    }


def report(dimensions: int, samples: int) -> None:
    """Trains a network and prints the tables of all methods on samples it classifies right."""
    data = synthetic.known_truth(dimensions, seed=0)
    held_out = synthetic.known_truth(dimensions, samples=1000, seed=1)
    model = synthetic.train_known_truth(data, held_out)
    predicted = model.predict(held_out.x, verbose=0).argmax(axis=1)
    accuracy = np.mean(predicted == held_out.y)
    right = np.flatnonzero(predicted == held_out.y)[:samples]
    x, masks = held_out.x[right], held_out.masks[right]
    maps = {
        name: method(x, held_out.y[right]).attributions for name, method in methods(model).items()
    }
    print(
        f"\n{dimensions}-D, {len(x)} samples of {x.shape[1:]}; {accuracy:.1%} of 1,000 held out are right"
    )
    for absolute in (False, True):
        found = evaluation.localization(maps, masks, images=x, absolute=absolute)
        near = evaluation.localization(maps, masks, images=x, absolute=absolute, tolerance=2)
        rounded = _rounded(found)
        # The cells of class activation maps are several positions wide.
        rounded.insert(1, "pointing within 2", _rounded(near)["pointing_game"])
        print(f"\n{'absolute' if absolute else 'signed'} maps: mean ± half the 95 % interval")
        print(rounded.to_string())


def _rounded(found: pd.DataFrame) -> pd.DataFrame:
    measures = found.columns.get_level_values("measure").unique()
    return pd.DataFrame(
        {
            measure: [
                f"{row['mean']:.3f} ± {(row['high'] - row['low']) / 2:.3f}"
                for _, row in found[measure].iterrows()
            ]
            for measure in measures
        },
        index=found.index,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dimensions", nargs="+", type=int, choices=(1, 2, 3), default=[1, 2, 3])
    parser.add_argument("--samples", type=int, default=64)
    arguments = parser.parse_args()
    for dimensions in arguments.dimensions:
        report(dimensions, arguments.samples)


if __name__ == "__main__":
    main()
