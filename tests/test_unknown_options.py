"""An option that does not exist is met where it is given, by the class that it was meant for."""

import keras
import pytest

import keras_pli as kp
from keras_pli import attribution, embedding, rationale
from keras_pli.checks import check_options

LAYERS = keras.layers
CLASSIFIER = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        LAYERS.Conv2D(2, 3, activation="relu"),
        LAYERS.Flatten(),
        LAYERS.Dense(3),
    ]
)


@pytest.mark.parametrize(
    ("make", "begin", "near", "takes"),
    [
        (lambda: attribution.Saliency(CLASSIFIER, scores=1), "Saliency", "score", "embeddings"),
        (
            lambda: attribution.IntegratedGradients(CLASSIFIER, step=3),
            "IntegratedGradients",
            "steps",
            "output",
        ),
        (lambda: attribution.GradCAM(CLASSIFIER, layers="a"), "GradCAM", "layer", "counterfactual"),
        (lambda: attribution.GuidedGradCAM(CLASSIFIER, relo=1), "GuidedGradCAM", "relu", "score"),
        (
            lambda: attribution.SmoothGrad(CLASSIFIER, sampels=3),
            "SmoothGrad",
            "samples",
            "embeddings",
        ),
        (lambda: kp.ParametricTSNE(perplexty=3), "ParametricTSNE", "perplexity", "hidden_units"),
        (lambda: kp.ParametricTSNE.paper(perplexty=3), "ParametricTSNE", "perplexity", "name"),
        (lambda: embedding.ParametricUMAP(min_dst=1), "ParametricUMAP", "min_dist", "fit_defaults"),
        (
            lambda: embedding.ContrastiveEmbedding(spectrm=1),
            "ContrastiveEmbedding",
            "spectrum",
            "hidden_units",
        ),
        (lambda: embedding.PrincipalProjection(cuont=3), "PrincipalProjection", "count", "name"),
        (lambda: kp.PLILoss(embeding_weight=0), "PLILoss", "embedding_weight", "reduction"),
        (
            lambda: rationale.WassersteinGAN((8, 8, 1), latent=3),
            "WassersteinGAN",
            "latent_size",
            "seed",
        ),
        (
            lambda: kp.callbacks.ExportBest("x", explanation=[]),
            "export",
            "explanations",
            "class_names",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_class_what_is_near_and_what_it_takes(make, begin, near, takes):
    with pytest.raises(TypeError, match=rf"^{begin} takes no option ") as caught:
        make()
    _, hint, taken = str(caught.value).replace("It takes", "Did you mean").split("Did you mean")
    assert repr(near) in hint
    assert repr(near) in taken
    assert repr(takes) in taken


def test_several_and_none():
    with pytest.raises(TypeError, match=r"^GradCAM takes no options 'a', 'b'\. It takes 'layer'"):
        attribution.GradCAM(CLASSIFIER, a=1, b=2)
    check_options(attribution.GradCAM, {"relu": 1, "batch_size": 2})


def test_a_subclass_with_options_of_its_own():
    class Mine(attribution.Saliency):
        def __init__(self, model, *, power=1.0, **options):
            super().__init__(model, **options)

    Mine(CLASSIFIER, power=2.0, batch_size=2)
    with pytest.raises(TypeError, match=r"Mine takes no option 'powr'. Did you mean 'power'"):
        Mine(CLASSIFIER, powr=2.0)
