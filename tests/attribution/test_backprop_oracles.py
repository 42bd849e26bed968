"""The same weights in PyTorch: captum for all four methods, zennit for the ε-rule."""

import contextlib
import sys

import numpy as np
import pytest
from toy_networks import LAYERS, chain, samples, spatial

from keras_pli.attribution.backprop import Deconvnet, DeepLIFT, EpsilonLRP, GuidedBackprop

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch")
AXES = (1, 2, 3)


def network(axes, *, average=False, apart=False):
    """A small network; `apart`, with a convolution between ReLU and pooling."""
    pool = spatial("AveragePooling" if average else "MaxPooling", axes)(2)
    between = [convolution(axes)] if apart else []
    layers = [convolution(axes), LAYERS.ReLU(), *between, pool, convolution(axes), LAYERS.ReLU()]
    head = [LAYERS.Flatten(), LAYERS.Dense(6), LAYERS.ReLU(), LAYERS.Dense(3)]
    return chain(*layers, *head, axes=axes)


def convolution(axes):
    return spatial("Conv", axes)(4, 2, padding="same")


def twin(model):
    """The PyTorch module of a network: channels come first, also where it flattens."""
    modules, flat = [], None
    for layer in model.layers[1:]:
        kind, axes = type(layer).__name__, len(layer.input.shape) - 2
        weights = [torch.from_numpy(weight.copy()) for weight in layer.get_weights()]
        if kind.startswith("Conv"):
            kernel = weights[0].permute(-1, -2, *range(axes))
            build = getattr(torch.nn, f"Conv{axes}d")
            module = build(kernel.shape[1], len(kernel), kernel.shape[2:], padding="same")
            weights[0] = kernel
        elif kind == "Dense":
            kernel = weights[0]
            if flat:
                kernel = kernel.reshape(*flat, -1).movedim(-2, 0).reshape(len(kernel), -1)
            module, flat = torch.nn.Linear(*kernel.shape), None
            weights[0] = kernel.T
        elif kind == "Flatten":
            module, flat = torch.nn.Flatten(), layer.input.shape[1:]
        elif kind == "ReLU":
            module = torch.nn.ReLU()
        else:
            pooling = "AvgPool" if kind.startswith("Average") else "MaxPool"
            module = getattr(torch.nn, f"{pooling}{axes}d")(2)
        for parameter, weight in zip(module.parameters(), weights, strict=True):
            parameter.data = weight.contiguous()
        modules.append(module)
    return torch.nn.Sequential(*modules).eval()


def zennit_rules():
    """The rules of zennit, which do without the torchvision that the package imports beside them.

    It may be missing, or made for another PyTorch.
    """
    with contextlib.suppress(ImportError, RuntimeError):
        import zennit.rules  # noqa: F401
    return sys.modules.get("zennit.rules") or pytest.skip("zennit is not installed")


def first(x):
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy())


def last(attributions):
    return np.moveaxis(attributions.detach().numpy(), 1, -1)


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("axes", AXES)
def test_the_twin_is_the_network(axes):
    model, x = network(axes), samples(axes)
    assert_equal(np.asarray(model(x)), twin(model)(first(x)).detach().numpy())


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(
    ("method", "name"), [(GuidedBackprop, "GuidedBackprop"), (Deconvnet, "Deconvolution")]
)
def test_rectifiers_against_captum(axes, method, name):
    captum = pytest.importorskip("captum.attr")
    model, x = network(axes), samples(axes)
    expected = getattr(captum, name)(twin(model)).attribute(first(x), target=1)
    assert_equal(method(model)(x, 1).attributions, last(expected))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("average", [False, True], ids=["maximum", "average"])
def test_deep_lift_against_captum(axes, average):
    captum = pytest.importorskip("captum.attr")
    # Where a ReLU and max-pooling touch, what captum 0.9 gives does not add up.
    model = network(axes, average=average, apart=not average)
    x, baselines = samples(axes), samples(axes, seed=4)
    expected = captum.DeepLift(twin(model)).attribute(first(x), first(baselines), target=1)
    assert_equal(DeepLIFT(model)(x, 1, baseline=baselines).attributions, last(expected))


@pytest.mark.parametrize("axes", AXES)
def test_lrp_against_captum(axes):
    captum = pytest.importorskip("captum.attr")
    rules = pytest.importorskip("captum.attr._utils.lrp_rules")
    model, x = network(axes), samples(axes)
    module = twin(model)
    for layer in module:
        if not isinstance(layer, torch.nn.ReLU):
            # Layers without parameters have no ε of their own here: it stands at nonlinearities.
            weighted = any(True for _ in layer.parameters())
            layer.rule = rules.EpsilonRule(epsilon=0.05 if weighted else 1e-12)
    expected = captum.LRP(module).attribute(first(x), target=1)
    assert_equal(EpsilonLRP(model, epsilon=0.05)(x, 1).attributions, last(expected))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("average", [False, True], ids=["maximum", "average"])
def test_lrp_against_zennit(axes, average):
    zennit = zennit_rules()
    model, x = network(axes, average=average), samples(axes)
    module, given = twin(model), first(x).requires_grad_()
    for layer in module:
        if any(True for _ in layer.parameters()):
            zennit.Epsilon(epsilon=0.05).register(layer)
        elif isinstance(layer, torch.nn.ReLU):
            zennit.Pass().register(layer)
        elif average and not isinstance(layer, torch.nn.Flatten):
            zennit.Norm().register(layer)
    logits = module(given)
    relevance = torch.zeros_like(logits)
    relevance[:, 1] = logits[:, 1].detach()
    (expected,) = torch.autograd.grad(logits, given, relevance)
    assert_equal(EpsilonLRP(model, epsilon=0.05)(x, 1).attributions, last(expected))
