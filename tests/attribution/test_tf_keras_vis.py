"""Grad-CAM and saliency beside tf-keras-vis, on functional models that end linearly, where it is right."""

import keras
import numpy as np
import pytest
from slow_cases import by_default
from toy_networks import AXES, LAYERS, SHAPES, randomized, samples, stem

from keras_pli.attribution import Saliency
from keras_pli.attribution.cam import GradCAM

pytest.importorskip("tf_keras_vis")

from tf_keras_vis.gradcam import Gradcam as TheirGradCAM
from tf_keras_vis.saliency import Saliency as TheirSaliency
from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
from tf_keras_vis.utils.scores import CategoricalScore

pytestmark = pytest.mark.filterwarnings("ignore:The structure of `inputs`")
TARGETS = [0, 2, 1, 1, 2]
CASES = by_default(
    (3, "softmax"),
    of=[(axes, squash) for axes in AXES for squash in (None, "softmax")],
)


def functional(axes, squash=None):
    inputs = outputs = keras.Input(SHAPES[axes])
    for layer in [*stem(axes), LAYERS.Flatten(), LAYERS.Dense(3, squash)]:
        outputs = layer(outputs)
    return randomized(keras.Model(inputs, outputs))


@pytest.mark.parametrize(("axes", "squash"), CASES)
def test_saliency(axes, squash):
    model, x = functional(axes, squash), samples(axes)
    theirs = TheirSaliency(model, ReplaceToLinear() if squash else None)(
        CategoricalScore(TARGETS), x, keepdims=True, normalize_map=False, gradient_modifier=None
    )
    ours = Saliency(model)(x, TARGETS).attributions
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(("axes", "squash"), CASES)
def test_grad_cam(axes, squash):
    model, x = functional(axes, squash), samples(axes)
    theirs = TheirGradCAM(model, ReplaceToLinear() if squash else None)(
        CategoricalScore(TARGETS), x, expand_cam=False, normalize_cam=False
    )
    ours = GradCAM(model)(x, TARGETS).details["map"]
    assert np.max(theirs) > 0.01
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
