"""What is exported answers as the model does, for every method and kind of model."""

import errno
import importlib
import json
from concurrent.futures import ThreadPoolExecutor

import export_models as made
import keras
import numpy as np
import pytest
import tensorflow as tf
from quick_methods import QUICK
from slow_cases import slow

import keras_pli as kp
from keras_pli.attribution import (
    LIME,
    METHODS,
    GradCAM,
    GuidedIntegratedGradients,
    IntegratedGradients,
    Occlusion,
    Saliency,
    SmoothGrad,
    method_name,
)
from keras_pli.serving import export

EXPORTED = [kind for kind in METHODS if kind.in_graph]
OF_AXES = [Saliency, GradCAM, Occlusion]
FEW = [Saliency, IntegratedGradients, GradCAM, Occlusion]  # each is computed in a way of its own


def served(path):
    return tf.saved_model.load(str(path)).signatures


def documented(path):
    return json.loads((path / "assets" / "signatures.json").read_text())


def samples(model, count, seed=0):
    shapes = [tensor.shape[1:] for tensor in model.inputs]
    rng = np.random.default_rng(seed)
    return [rng.random((count, *shape), dtype=np.float32) for shape in shapes]


def made_for(model, kinds):
    """Methods that take as many samples at a time as the largest request, as their export does."""
    return [kind(model, batch_size=64, **QUICK.get(kind.__name__, {})) for kind in kinds]


def allclose(found, expected):
    scale = np.max(np.abs(expected), initial=1e-6)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((2, FEW), id="2"),
        pytest.param((2, EXPORTED), id="2-all", marks=pytest.mark.slow),
        pytest.param((1, OF_AXES), id="1", marks=pytest.mark.slow),
        pytest.param((3, OF_AXES), id="3", marks=pytest.mark.slow),
    ],
)
def everything(request, tmp_path_factory):
    """Methods of a network over two axes, few and all, with the methods themselves; of 1 and 3 axes those
    that treat axes each in a way of its own."""
    axes, kinds = request.param
    model = made.convolutional(axes)
    embedder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    methods = made_for(model, kinds)
    path = tmp_path_factory.mktemp("models") / "shapes"
    version = export(model, path, explanations=methods, embedder=embedder, warmup=None)
    return model, embedder, methods, served(version), documented(version)


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow), 64])
def test_equal_to_direct_calls(everything, count):
    model, embedder, methods, signatures, _ = everything
    (x,) = samples(model, count)
    target = np.arange(count, dtype=np.int32) % 4
    found = signatures["serving_default"](image=x)
    allclose(found["probabilities"], model.predict(x, verbose=0))
    logits = kp.activations(model, x)
    allclose(found["logits"], logits)
    allclose(signatures["embed"](image=x)["embedding"], embedder.predict(logits, verbose=0))
    for method in methods:
        given = {"image": x, "target": target}
        if method.takes_baseline:
            given["baseline"] = np.full_like(x, 0.5)
        expected = method(x, target, baseline=given.get("baseline"))
        found = signatures[f"explain_{method_name(type(method))}"](**given)
        allclose(found["attributions"], expected.attributions)
        allclose(found["scores"], expected.scores)
        assert ("delta" in found) == (expected.delta is not None)
        if expected.delta is not None:  # a difference of near values
            np.testing.assert_allclose(found["delta"], expected.delta, atol=1e-5)
        for name, value in expected.details.items():
            allclose(found[f"details_{name}"], value)


def test_from_eight_threads(everything):
    model, _, methods, signatures, _ = everything
    saliency = next(method for method in methods if isinstance(method, Saliency))
    batches = [samples(model, 1 + index % 3, seed=index)[0] for index in range(24)]
    expected = [saliency(x).attributions for x in batches]

    def ask(x):
        target = np.full(len(x), -1, np.int32)
        return signatures["explain_saliency"](image=tf.constant(x), target=target)["attributions"]

    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(ask, batches), expected, strict=True):
            allclose(found, wanted)


def test_every_tensor_has_the_samples_first_and_is_documented(everything):
    _, _, _, signatures, document = everything
    assert set(document["signatures"]) == set(signatures)
    for name, function in signatures.items():
        described = document["signatures"][name]
        given = function.structured_input_signature[1]
        assert set(described["inputs"]) == set(given)
        assert set(described["outputs"]) == set(function.structured_outputs)
        for key, tensor in {**given, **function.structured_outputs}.items():
            assert tensor.shape[0] is None, (name, key)
            said = {**described["inputs"], **described["outputs"]}[key]
            assert said["dtype"] == tensor.dtype.name and said["description"]


def test_minus_one_is_the_predicted_class(everything):
    model, _, _, signatures, _ = everything
    (x,) = samples(model, 5)
    predicted = model.predict(x, verbose=0).argmax(axis=1)
    target = np.array([-1, 0, -1, 3, -1], np.int32)
    found = signatures["explain_saliency"](image=x, target=target)
    wanted = np.where(target < 0, predicted, target)
    np.testing.assert_array_equal(found["target"], wanted)
    allclose(found["attributions"], Saliency(model)(x, wanted).attributions)


BAD = {
    "NaN": (lambda x, t: (np.where(np.arange(5)[:, None, None, None] == 2, np.nan, x), t), r"\[2\]"),
    "class": (lambda x, t: (x, np.array([0, 4, 1, -2, 0])), r"from 0 to 3.*\[4 -2\]"),
    "rows": (lambda x, t: (x, t[:2]), r"as many rows.*\[2 5\]"),
}  # fmt: skip


@pytest.fixture(scope="module")
def explained_by_saliency(tmp_path_factory):
    model, folder = made.convolutional(), tmp_path_factory.mktemp("models") / "m"
    return model, served(export(model, folder, explanations=[Saliency], warmup=None))


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_name_what_is_wrong(case, explained_by_saliency):
    model, signatures = explained_by_saliency
    (x,) = samples(model, 5)
    change, words = BAD[case]
    image, target = change(x, np.zeros(5, np.int32))
    bad = {"image": image.astype(np.float32), "target": target.astype(np.int32)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        signatures["explain_saliency"](**bad)
    good = signatures["explain_saliency"](image=x, target=np.zeros(5, np.int32))
    allclose(good["attributions"], Saliency(model)(x, 0).attributions)


@pytest.mark.slow
def test_without_checks_a_bad_sample_leaves_the_others_alone(tmp_path):
    model = made.convolutional()
    version = export(model, tmp_path / "m", explanations=[Saliency], checks=False, warmup=None)
    (x,) = samples(model, 3)
    expected = Saliency(model)(x, 1).attributions
    x[1] = np.nan
    found = served(version)["explain_saliency"](image=x, target=np.ones(3, np.int32))
    allclose(found["attributions"].numpy()[[0, 2]], expected[[0, 2]])


@pytest.mark.slow
def test_two_inputs_by_name(tmp_path):
    model = made.two_inputs()
    method = IntegratedGradients(model, steps=5, batch_size=2)  # fewer than a request has
    version = export(model, tmp_path / "m", explanations=[method])
    rng = np.random.default_rng(0)
    x = {
        name: rng.random((3, *shape), dtype=np.float32)
        for name, shape in {"image": (8, 8, 1), "table": (3,)}.items()
    }
    signatures = served(version)
    allclose(signatures["serving_default"](**x)["logits"], model.predict(x, verbose=0))
    zeros = {f"baseline_{name}": np.zeros_like(array) for name, array in x.items()}
    found = signatures["explain_integrated_gradients"](**x, **zeros, target=np.ones(3, np.int32))
    expected = IntegratedGradients(model, steps=5)(x, 1)
    for name in x:
        allclose(found[f"attributions_{name}"], expected.attributions[name])


def test_two_outputs(tmp_path):
    model = made.two_outputs()
    with pytest.raises(ValueError, match="kind"):
        export(model, tmp_path / "m", warmup=None)
    (x,) = samples(model, 3)
    saliency = Saliency(model, output="kind")
    version = export(model, tmp_path / "m", output="kind", explanations=[saliency], warmup=None)
    found = served(version)["serving_default"](image=x)
    kind, age = model.predict(x, verbose=0)
    allclose(found["probabilities"], kind)
    allclose(found["output_age"], age)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["binary", "nested", "mixed_precision", "preprocessing"])
def test_other_models(kind, tmp_path):
    model = getattr(made, kind)()
    x = samples(model, 3)[0] * (255 if kind == "preprocessing" else 1)
    methods = [Saliency(model), Occlusion(model, window=4, stride=4)]
    version = export(model, tmp_path / "m", explanations=methods, examples=x, warmup=None)
    signatures = served(version)
    name = next(iter(signatures["serving_default"].structured_input_signature[1]))
    found = signatures["serving_default"](**{name: x})
    outputs = model.predict(x, verbose=0).astype(np.float32)
    tolerance = {"rtol": 2e-3} if kind == "mixed_precision" else {"rtol": 1e-5}
    if kind == "binary":
        outputs = np.concatenate([1 - outputs, outputs], axis=1)
    wanted = "logits" if kind == "preprocessing" else "probabilities"
    np.testing.assert_allclose(found[wanted], outputs, atol=1e-5, **tolerance)
    assert found["probabilities"].dtype == found["logits"].dtype == tf.float32
    target = np.ones(3, np.int32)
    found = signatures["explain_saliency"](**{name: x, "target": target})
    allclose(found["attributions"], Saliency(model)(x, 1).attributions)


@pytest.mark.slow
def test_images_of_any_size(tmp_path):
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalMaxPooling2D()]
    image = keras.Input((None, None, 1), name="image")
    model = keras.Sequential([image, *layers, keras.layers.Dense(3)])
    methods = [Saliency(model), IntegratedGradients(model, steps=4)]
    signatures = served(export(model, tmp_path / "m", explanations=methods, warmup=None))
    x = np.random.default_rng(0).random((2, 9, 12, 1), dtype=np.float32)
    found = signatures["explain_integrated_gradients"](
        image=x, baseline=np.zeros_like(x), target=np.ones(2, np.int32)
    )
    allclose(found["attributions"], methods[1](x, 1).attributions)
    with pytest.raises(ValueError, match=r"explain_grad_cam needs inputs of a fixed size.*None"):
        export(model, tmp_path / "m", explanations=[GradCAM], warmup=None)


def test_words_are_looked_up(tmp_path):
    model = made.with_words()
    with pytest.raises(ValueError, match=r"'word' takes strings"):
        export(model, tmp_path / "m", explanations=[Saliency], warmup=None)
    signatures = served(export(model, tmp_path / "m", warmup=None))
    x, words = np.ones((3, 8, 8, 1), np.float32), np.array(["left", "right", "up"])
    found = signatures["serving_default"](image=tf.constant(x), word=tf.constant(words))
    expected = model([tf.constant(x), tf.constant(words)])
    allclose(found["probabilities"], expected)
    assert np.ptp(expected, axis=0).max() > 0


@pytest.mark.slow
def test_subclassed_models_need_examples(tmp_path):
    model = made.subclassed()
    with pytest.raises(ValueError, match="examples"):
        export(model, tmp_path / "m", warmup=None)
    x = np.random.default_rng(0).random((3, 8, 8, 1), dtype=np.float32)
    version = export(model, tmp_path / "m", examples=x, explanations=[GradCAM], warmup=None)
    signatures = served(version)
    allclose(signatures["serving_default"](inputs=x)["logits"], model.predict(x, verbose=0))
    found = signatures["explain_grad_cam"](inputs=x, target=np.ones(3, np.int32))
    allclose(found["attributions"], GradCAM(model)(x, 1).attributions)


def test_after_retraining(tmp_path, untraced):
    classifier = made.convolutional()
    embedder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    pli = kp.PLIModel(classifier, embedder)
    pli.compile("sgd", loss=kp.PLILoss(embedding_weight=0.1))
    (x,) = samples(classifier, 8)
    y = {"label": np.arange(8) % 4, "embedding": np.ones((8, 2), np.float32)}
    with untraced():
        pli.fit(x, y, verbose=0)
    signatures = served(export(pli, tmp_path / "m", explanations=[Saliency], warmup=None))
    allclose(signatures["serving_default"](image=x)["probabilities"], classifier(x))
    allclose(signatures["embed"](image=x)["embedding"], embedder(kp.activations(classifier, x)))


def test_class_names_and_top(tmp_path):
    model, names = made.convolutional(), ["ant", "bee", "cat", "dög"]
    version = export(model, tmp_path / "m", class_names=names, top=2, warmup=None)
    (x,) = samples(model, 3)
    found = served(version)["serving_default"](image=x)
    expected = np.argsort(-model.predict(x, verbose=0), axis=1)[:, :2]
    np.testing.assert_array_equal(found["top_classes"], expected)
    told = [[name.decode() for name in row] for row in found["top_names"].numpy()]
    assert told == [[names[index] for index in row] for row in expected]
    assert (version / "assets" / "class_names.txt").read_text().split() == names
    assert documented(version)["class_names"] == names


def test_activation_of_a_linear_head(tmp_path):
    model = made.convolutional(head=None)
    (x,) = samples(model, 3)
    logits = model.predict(x, verbose=0).astype(np.float64)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for activation, wanted in {"auto": softmax, "sigmoid": 1 / (1 + np.exp(-logits))}.items():
        version = export(model, tmp_path / "m", activation=activation, warmup=None)
        found = served(version)["serving_default"](image=x)
        allclose(found["probabilities"], wanted)


@pytest.mark.slow
def test_output_as_it_comes(tmp_path):
    image = keras.Input((8, 8, 1), name="image")
    towers = [keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(image)) for _ in range(2)]
    model = keras.Model(image, keras.layers.Average()(towers))
    with pytest.raises(ValueError, match="No logits"):
        export(model, tmp_path / "m", warmup=None)
    version = export(model, tmp_path / "m", score="output", warmup=None)
    (x,) = samples(model, 3)
    found = served(version)["serving_default"](image=x)
    allclose(found["probabilities"], model.predict(x, verbose=0))
    assert "logits" not in found


@pytest.mark.slow  # XLA compiles it for seconds
def test_xla_twins(tmp_path):
    model = made.convolutional()
    methods = [
        Saliency(model, jit_compile=True),
        GuidedIntegratedGradients(model, steps=3),  # which computes otherwise under XLA
    ]
    names = [method_name(type(method)) for method in methods]
    version = export(model, tmp_path / "m", explanations=methods, xla=True, warmup=None)
    assert compiled_functions(version) and methods[0].jit_compile
    signatures = served(version)
    (x,) = samples(model, 3)
    for name in ("serving_default", *(f"explain_{name}" for name in names)):
        arguments = signatures[name].structured_input_signature[1]
        filled = {"image": x, "target": np.ones(3, np.int32), "baseline": np.zeros_like(x)}
        given = {key: filled[key] for key in arguments}
        plain, twin = signatures[name](**given), signatures[f"{name}_xla"](**given)
        for key, value in twin.items():
            scale = 1 if key == "delta" else np.abs(plain[key]).max()
            np.testing.assert_allclose(value, plain[key], atol=1e-5 * scale)
    with pytest.raises(tf.errors.InvalidArgumentError, match="from 0 to 3"):
        signatures["explain_saliency_xla"](image=x, target=np.full(3, 9, np.int32))


def compiled_functions(version):
    """Names of functions in a SavedModel that ask for XLA."""
    from tensorflow.core.protobuf import saved_model_pb2

    read = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    functions = read.meta_graphs[0].graph_def.library.function
    return [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]


@pytest.mark.slow
def test_without_twins_nothing_asks_for_xla(tmp_path):
    model = made.convolutional()
    methods = [Saliency(model, jit_compile=True), SmoothGrad(model, samples=3, jit_compile=True)]
    plain = export(model, tmp_path / "m", explanations=methods, warmup=None)
    assert not compiled_functions(plain)
    assert methods[0].jit_compile and methods[1].method.jit_compile


@pytest.mark.slow
def test_variables_are_stored_once(tmp_path):
    layers = [keras.layers.Flatten(), keras.layers.Dense(100, "relu"), keras.layers.Dense(4)]
    model = keras.Sequential([keras.Input((64, 64, 3)), *layers])
    model.compile("adam", "mse")
    model.fit(np.ones((2, 64, 64, 3)), np.ones((2, 4)), verbose=0)  # Adam holds twice as much again
    version = export(
        model, tmp_path / "m", explanations=[Saliency, IntegratedGradients], warmup=None
    )
    stored = sum(file.stat().st_size for file in version.rglob("*") if file.is_file())
    assert model.count_params() * 4 < stored < 1.1 * model.count_params() * 4


@pytest.mark.slow
def test_the_model_is_left_as_it_was(tmp_path):
    model = made.convolutional()
    before, weights = set(vars(model)), model.get_weights()
    export(model, tmp_path / "m", explanations=[Saliency], warmup=None)
    assert set(vars(model)) == before
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_later_training_does_not_change_an_export(tmp_path):
    model = made.convolutional()
    (x,) = samples(model, 2)
    expected = model.predict(x, verbose=0)
    signatures = served(export(model, tmp_path / "m", warmup=None))
    model.set_weights([weight + 1 for weight in model.get_weights()])
    allclose(signatures["serving_default"](image=x)["probabilities"], expected)


@pytest.mark.slow
def test_what_answers_otherwise_is_not_exported(tmp_path, monkeypatch):
    model = made.convolutional()
    module = importlib.import_module("keras_pli.serving.exporting")
    write = module.write_saved_model

    def damaged(*arguments):
        kernel = model.layers[-1].kernel
        value = kernel.numpy()
        kernel.assign(value * 1.1)
        write(*arguments)
        kernel.assign(value)

    monkeypatch.setattr(module, "write_saved_model", damaged)
    with pytest.raises(RuntimeError, match=r"'serving_default' gives another"):
        export(model, tmp_path / "m", warmup=None)
    assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.parametrize("step", ["write_saved_model", slow("write_configuration")])
def test_a_full_disk_leaves_no_version(tmp_path, monkeypatch, step):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(importlib.import_module("keras_pli.serving.exporting"), step, full)
    with pytest.raises(OSError, match="No space left"):
        export(made.convolutional(), tmp_path / "m", warmup=None)
    assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    {
        "outside of a graph": ({"explanations": [LIME]}, r"LIME cannot be exported"),
        "no method": ({"explanations": ["grad_cam"]}, r"grad_cam"),
        "a model": ({"explanations": [lambda model: model]}, r"function"),
        "twice": ({"explanations": [Saliency, Saliency]}, r"two explanations 'saliency'"),
        "names": ({"class_names": ["a", "b"]}, r"name the 4 classes.*\['a', 'b'\]"),
        "a text": ({"class_names": "abcd"}, r"name the 4 classes"),
        "layer": ({"layer": "conv"}, r"embedder"),
        "version": ({"version": -1}, r"-1"),
        "a true version": ({"version": True}, r"True"),
        "activation": ({"activation": "relu"}, r"'relu'"),
        "examples": ({"examples": np.ones((2, 5, 5, 1))}, r"\(2, 5, 5, 1\)"),
        "sizes": ({"warmup": [0]}, r"\[0\]"),
        "a name": ({"explanations": {"a b": Saliency}}, r"explain_a b"),
    }.values(),
)
def test_bad_arguments(options, words, tmp_path):
    with pytest.raises((ValueError, TypeError), match=words):
        export(made.convolutional(), tmp_path / "m", **options)
    assert not (tmp_path / "m").exists() or not list((tmp_path / "m").glob("*"))


def test_a_method_of_another_model(tmp_path):
    other = made.convolutional(name="other")
    with pytest.raises(ValueError, match="'other'"):
        export(made.convolutional(), tmp_path / "m", explanations=[Saliency(other)])


def test_an_input_called_target(tmp_path):
    image = keras.Input((4,), name="target")
    model = keras.Model(image, keras.layers.Dense(2)(image))
    with pytest.raises(ValueError, match="'target'"):
        export(model, tmp_path / "m", explanations=[Saliency])
