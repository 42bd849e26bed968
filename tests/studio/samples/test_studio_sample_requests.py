"""What pages ask about samples, as messages."""

import io
import json

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors

import keras_pli as kp
from keras_pli.studio import StudioData, StudioSession
from keras_pli.studio.conversation import Conversation
from keras_pli.studio.samples.columns import Columns
from keras_pli.studio.samples.neighbors import NotYetError
from keras_pli.studio.samples.outlines import map_outlines
from keras_pli.studio.view_source import view_version

SAMPLES = 60


@pytest.fixture(scope="module")
def data():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).integers(0, 256, (SAMPLES, 6, 6, 1), dtype=np.uint8)
    x[41] = x[40]
    labels = np.arange(SAMPLES) % 3
    labels[7] = -1
    stack = [keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    classifier = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Rescaling(1 / 255), *stack])
    group = np.array(["north", "south"])[np.arange(SAMPLES) // 30]
    test = x[:9], np.arange(9) % 3
    return StudioData.of(
        classifier, x, labels, test=test, class_names=("ant", "bee", "cat"), group=group
    )


@pytest.fixture(scope="module")
def session(data, tmp_path_factory):
    embedder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    made = StudioSession(data, tmp_path_factory.mktemp("samples") / "run", embedder=embedder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def ask(session):
    conversation = Conversation(session)

    def asked(kind, **fields):
        reply = conversation.ask({"id": 1, "kind": kind, **fields})
        assert reply.content["ok"], reply.content
        json.dumps(reply.content, allow_nan=False)
        return reply.content, reply.buffers

    return asked


@pytest.fixture(scope="module")
def error_of(session):
    conversation = Conversation(session)

    def asked(kind, **fields):
        reply = conversation.ask({"id": 1, "kind": kind, **fields})
        assert not reply.content["ok"]
        return reply.content["error"]

    return asked


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_confusions_are_what_errors_of_selects(ask, data, session):
    pairs = ask("confusions")[0]["pairs"]
    assert pairs == sorted(pairs, key=lambda pair: -pair["share"])
    known = data.labels >= 0
    assert sum(pair["count"] for pair in pairs) == np.count_nonzero(
        (data.labels != session.round.predictions) & known
    )
    for pair in pairs:
        selection = {"type": "ErrorsOf", "label": pair["label"], "predicted": pair["predicted"]}
        assert ask("select", selection=selection)[0]["count"] == pair["count"]
        of_class = np.count_nonzero(data.labels == pair["label"])
        assert pair["share"] == pytest.approx(pair["count"] / of_class)
    (worst,) = ask("confusions", most=1)[0]["pairs"]
    assert worst == pairs[0] and worst["name"] == data.class_names[worst["label"]]


def test_a_column_that_takes_long_is_asked_for_again(ask, session, monkeypatch):
    def not_yet(columns, name):
        raise NotYetError("Still being looked for.")

    monkeypatch.setattr(Columns, "__getitem__", not_yet)
    content, buffers = ask("column", name="disagreement")
    assert content["pending"] and not buffers and content["words"] == "Still being looked for."


def test_hello_tells_what_can_be_asked_for(ask):
    content, _ = ask("hello", version=view_version())
    assert content["kind"] == "image" and content["no_pictures"] is None
    assert content["columns"][:2] == ["label", "prediction"]
    assert {"disagreement", "group"} <= set(content["columns"])
    assert set(content["column_titles"]) == set(content["columns"])
    assert "integrated_gradients" in content["methods"]
    assert content["default_methods"] == ["integrated_gradients", "grad_cam", "occlusion"]
    assert content["method_titles"]["smooth_grad"] == "SmoothGrad"
    assert content["rationale"] is False
    assert [entry["dark"] for entry in content["classes"]] != [
        entry["color"] for entry in content["classes"]
    ]


def test_codes_and_numbers_arrive_as_arrays(ask, data, session):
    content, buffers = ask("column", name="label")
    codes = np.frombuffer(buffers[0], "<u2")
    np.testing.assert_array_equal(codes, np.where(data.labels < 0, 3, data.labels))
    assert [entry["name"] for entry in content["categories"]] == ["ant", "bee", "cat", "no label"]
    assert (content["type"], content["low"], content["high"]) == ("class", None, None)
    content, buffers = ask("column", name="confidence")
    values = np.frombuffer(buffers[0], "<f4")
    np.testing.assert_allclose(values, session.round.outputs.max(axis=1))
    assert (content["type"], content["categories"], content["high"]) == ("number", None, 1)
    assert len(content["ramp"]) == len(content["dark_ramp"])


def test_disagreement_is_that_of_the_layers_neighbours(ask, data, session):
    _, buffers = ask("column", name="disagreement")
    z = session.round.activations.astype(np.float64)
    _, indices = NearestNeighbors(n_neighbors=11).fit(z).kneighbors(z)
    for i in (0, 12, 59):
        near = [j for j in indices[i] if j != i][:10]
        expected = np.mean([data.labels[j] != data.labels[i] for j in near if data.labels[j] >= 0])
        assert np.frombuffer(buffers[0], "<f4")[i] == pytest.approx(expected)


def test_points_are_selected_by_a_column(ask, data):
    mask = data.group == "south"
    _, buffers = ask("select", selection={"type": "Column", "column": "group", "code": 1})
    np.testing.assert_array_equal(
        np.unpackbits(np.frombuffer(buffers[0], np.uint8), bitorder="little")[:SAMPLES], mask
    )
    selection = {"type": "Column", "column": "confidence", "least": 0.0, "most": 1.0}
    assert ask("select", selection=selection)[0]["count"] == SAMPLES


def test_cards(ask, session):
    content, _ = ask("card", index=40)
    assert (content["name"], content["group"]) == ("bee", "south")
    assert content["neighbors"][0]["index"] == 41
    assert content["neighbors"][0]["distance"] == 0
    assert len(content["neighbors"]) == 8
    chances = session.round.outputs[40]
    assert content["probabilities"][0] == {
        "name": ("ant", "bee", "cat")[chances.argmax()],
        "p": pytest.approx(float(chances.max())),
    }
    content, _ = ask("card", index=7, neighbors=0)
    assert (content["label"], content["name"], content["neighbors"]) == (None, "no label", [])


def test_pictures(ask, error_of, data):
    content, buffers = ask("pictures", indices=[3, 59], size=12)
    assert content["sizes"] == [[12, 12], [12, 12]]
    for png, index in zip(buffers, (3, 59), strict=True):
        expected = np.kron(data.train[0][index, ..., 0], np.ones((2, 2), int))
        np.testing.assert_array_equal(pixels(png), expected)
    content, buffers = ask("pictures", indices=[3, 600])
    assert content["errors"][0]["index"] == 600 and buffers[1] == b""
    assert "less than 60" in error_of("pictures", indices=[600])
    told = error_of("pictures", indices=list(range(65)))
    assert "at most 64 entries" in told and told.endswith("Received: 65 entries.")
    assert error_of("pictures", indices=[0, True]).endswith(
        "a list of whole numbers. Received: True."
    )


def test_explanations(ask, error_of, data, session):
    content, buffers = ask("explain", index=5, methods=["gradient_times_input"], target=1)
    assert (content["titles"], content["target_name"]) == (["Gradient × input"], "bee")
    assert content["refused"] == [] and content["methods"] == ["gradient_times_input"]
    assert pixels(buffers[0]).ndim == 3
    content, _ = ask("explain", index=5, methods=["gradient_times_input"], target=None)
    assert content["target"] == session.round.outputs[5].argmax()
    assert "whole number in [0, 2]" in error_of("explain", index=5, target=3)
    assert "does not fit this classifier" in error_of(
        "explain", index=5, methods=["guided_backprop"]
    )


def test_without_networks_there_is_no_rationale(error_of):
    assert "RationaleGenerator" in error_of("rationalise", index=0)


def test_outlines_of_the_map_and_of_the_plans_targets(ask, session, data):
    found, _ = ask("outlines", of="map")
    direct = map_outlines(session.round.map, data.labels)
    assert [each["name"] for each in found["classes"]] == ["ant", "bee", "cat"]
    for each, expected in zip(found["classes"], direct.classes, strict=True):
        assert each["label_at"] == pytest.approx(expected.label_at)
        assert [len(line) for line in each["lines"]] == [len(line) for line in expected.lines]
    change = {"type": "Shift", "selection": {"type": "ClassLabel", "label": 1}, "by": [1.0, 0.0]}
    ask("change", change=change)
    moved, _ = ask("outlines", of="targets")
    ask("undo")
    assert moved["classes"][1]["label_at"][0] == pytest.approx(
        found["classes"][1]["label_at"][0] + 1, abs=0.1
    )
    back, _ = ask("outlines", of="targets")
    assert back["classes"] == found["classes"]


@pytest.mark.slow
def test_rationale_as_a_message(tmp_path):
    keras.utils.set_random_seed(0)
    dense, flat = keras.layers.Dense, keras.layers.Flatten
    stack = [dense(16, "tanh"), keras.layers.Reshape((4, 4, 1))]
    generator = keras.Sequential([keras.Input((3,)), *stack])
    encoder = keras.Sequential([keras.Input((4, 4, 1)), flat(), dense(3)])
    classifier = keras.Sequential([keras.Input((4, 4, 1)), flat(), dense(3, "softmax")])
    x = generator(np.random.default_rng(0).normal(size=(30, 3))).numpy()
    why = kp.RationaleGenerator(generator, encoder, classifier, steps=30)
    data = StudioData.of(classifier, x, np.arange(30) % 3, rationale=why)
    embedder = keras.Sequential([keras.Input((3,)), dense(2)])
    session = StudioSession(data, tmp_path / "run", embedder=embedder)
    reply = Conversation(session).ask({"id": 1, "kind": "rationalise", "index": 2})
    session.close()
    assert reply.content["ok"], reply.content
    assert reply.content["words"].count("→") >= 1
    assert [pixels(png).ndim for png in reply.buffers] == [3, 3]
