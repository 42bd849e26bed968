"""Every method on one small member of each family of `keras.applications`, with random weights.

A method is right, by what it promises, or refuses for a reason that is true of the family. Run with `-s`, it
prints the table.
"""

import keras
import numpy as np
import pytest

from keras_pli.attribution import METHODS, Saliency

APPLICATIONS = keras.applications
SETTINGS = {
    "SmoothGrad": {"samples": 4},
    "IntegratedGradients": {"steps": 64},
    "InteriorGradients": {"steps": 4},
    "GuidedIntegratedGradients": {"steps": 8},
    "Occlusion": {"window": 16, "stride": 16, "fill": 0.25},
    "LIME": {"samples": 24, "segments": 6},
    "MeaningfulPerturbation": {"steps": 3},
}
# A member of each family, the size of its images, and what its networks are made of.
FAMILIES = {
    "VGG16": (64, {"ReLU", "dense head"}),
    "ResNet50": (64, {"ReLU"}),
    "ResNet50V2": (64, {"ReLU"}),
    "DenseNet121": (64, {"ReLU"}),
    "MobileNet": (64, {"ReLU"}),
    "MobileNetV2": (64, {"ReLU"}),
    "MobileNetV3Small": (64, {"ReLU", "dense head"}),
    "EfficientNetB0": (64, set()),
    "EfficientNetV2B0": (64, set()),
    "Xception": (71, {"ReLU"}),
    "InceptionV3": (139, {"ReLU"}),
    "InceptionResNetV2": (139, {"ReLU"}),
    "NASNetMobile": (64, {"ReLU"}),
    "ConvNeXtTiny": (64, {"dense head"}),
}


def network(family):
    """A member with weights by which signals neither vanish nor explode."""
    size, _ = FAMILIES[family]
    keras.utils.set_random_seed(0)
    model = getattr(APPLICATIONS, family)(
        weights=None, input_shape=(size, size, 3), classes=5, classifier_activation="softmax"
    )
    rng = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # one pass tells its statistics
    model(rng.uniform(size=(8, size, size, 3)).astype(np.float32), training=True)
    return model, rng.uniform(size=(2, size, size, 3)).astype(np.float32)


def slope_along(method, x, direction, step):
    """The score's derivative along a direction, by a central difference."""
    above, below = (method(x + sign * step * direction, 0).scores for sign in (1, -1))
    return (above.astype(np.float64) - below) / (2 * step)


def check_saliency(model, x):
    saliency = Saliency(model)
    gradient = saliency(x, 0).attributions
    norm = np.sqrt((gradient**2).sum(axis=(1, 2, 3)))
    direction = gradient / norm[:, None, None, None]
    steps = (1e-2, 3e-3, 1e-3, 3e-4)  # the smallest where rectifiers bend within the others
    errors = [abs(slope_along(saliency, x, direction, s) / norm - 1).max() for s in steps]
    assert min(errors) < 0.05, errors


def check(found, name, model, x):
    """What each method promises, as far as any input can tell."""
    flat = found.attributions.reshape(len(x), -1).astype(np.float64)
    assert np.isfinite(flat).all()
    scale = np.maximum(abs(found.scores), abs(flat).sum(axis=1))
    if name == "Saliency":
        check_saliency(model, x)
    if name == "GradientTimesInput":
        np.testing.assert_allclose(
            found.attributions, Saliency(model)(x, 0).attributions * x, atol=1e-4 * scale.max()
        )
    if name == "DeepLIFT":
        assert (abs(found.delta) < 1e-3 * scale).all(), found.delta / scale
    if name == "IntegratedGradients":
        assert (abs(found.delta) < 0.05 * scale).all(), found.delta / scale
    if name == "EpsilonLRP":
        np.testing.assert_allclose(
            found.delta, flat.sum(axis=1) - found.scores, atol=1e-4 * scale.max()
        )
    if name == "CAM":
        # MobileNet's head is a convolution, with its softmax behind.
        head = next(layer for layer in reversed(model.layers) if layer.weights)
        offset = head.get_weights()[1][0]
        mean = found.details["map"].mean(axis=(1, 2))
        np.testing.assert_allclose(mean, found.scores - offset, atol=1e-3 * scale.max())
    if name == "GradCAM":
        assert found.details["map"].shape[1:] == pooled_sizes(model)
    if name == "Occlusion":
        hidden = x.copy()
        hidden[:, :16, :16] = 0.25
        fall = found.scores - Saliency(model)(hidden, 0).scores
        np.testing.assert_allclose(found.attributions[:, 0, 0, 0], fall, atol=1e-4 * scale.max())


def pooled_sizes(model):
    """The positions that the global pooling, or the flattening, receives."""
    pools = [one for one in model.layers if isinstance(one, keras.layers.GlobalAveragePooling2D)]
    flats = [one for one in model.layers if isinstance(one, keras.layers.Flatten)]
    layer = [*flats, *pools][-1]  # of several poolings, as in squeeze-and-excitation, the last
    return tuple(layer.input.shape[1:3])


def expected_refusal(name, made_of):
    """Why a method cannot explain a family; None if it can."""
    if name in ("GuidedBackprop", "Deconvnet", "GuidedGradCAM") and "ReLU" not in made_of:
        return "needs a rectifier"
    if name == "CAM" and "dense head" in made_of:
        return "CAM needs a global average pooling"
    return None


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_is_right_or_says_why_not(family):
    model, x = network(family)
    outcomes, failures = {}, []
    for method in METHODS:
        name = method.__name__
        refusal = expected_refusal(name, FAMILIES[family][1])
        try:
            check(method(model, **SETTINGS.get(name, {}))(x, 0), name, model, x)
            outcomes[name] = "right"
        except ValueError as error:
            outcomes[name] = f"refused: {error}"
        except AssertionError as error:
            outcomes[name] = f"WRONG: {error}"
        if not outcomes[name].startswith(
            "right" if refusal is None else f"refused: {name} needs a"
        ):
            failures.append(name)
        print(f"{family:18} {name:26} {outcomes[name].splitlines()[0][:110]}", flush=True)
        keras.backend.clear_session(free_memory=False)
    assert not failures, {name: outcomes[name] for name in failures}
