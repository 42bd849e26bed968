"""An export behind the local server: explanations by REST and gRPC, and bad requests that it survives."""

import json
import urllib.error
import urllib.request

import export_models as made
import numpy as np
import pytest
import tensorflow as tf

from keras_pli.attribution import GradCAM, IntegratedGradients
from keras_pli.serving import export

pytestmark = pytest.mark.slow  # exports and the server are each tested by themselves
pytest.importorskip("starlette")
grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving")

from keras_pli.serving.server import LocalServer  # noqa: E402


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    model = made.convolutional()
    folder = tmp_path_factory.mktemp("models")
    methods = [GradCAM(model), IntegratedGradients(model, steps=6)]
    export(model, folder / "shapes", explanations=methods, warmup=None)
    with LocalServer(folder) as server:
        yield model, server


X = np.random.default_rng(0).random((3, 8, 8, 1), dtype=np.float32)


def by_rest(server, signature, instances):
    body = json.dumps({"signature_name": signature, "instances": instances})
    request = urllib.request.Request(f"{server.url}/v1/models/shapes:predict", body.encode())
    try:
        return json.load(urllib.request.urlopen(request, timeout=60))["predictions"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]


def by_grpc(server, signature, **given):
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "shapes", signature
    for name, array in given.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    with grpc.insecure_channel(server.grpc_target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        outputs = stub.Predict(request, timeout=60).outputs
    return {name: tf.make_ndarray(value) for name, value in outputs.items()}


def test_rest(served):
    model, server = served
    found = by_rest(
        *(server, "explain_grad_cam"),
        [
            {"image": image.tolist(), "target": target}
            for image, target in zip(X, [0, 3, 1], strict=True)
        ],
    )
    expected = GradCAM(model)(X, [0, 3, 1])
    np.testing.assert_allclose(
        [row["attributions"] for row in found], expected.attributions, atol=1e-5
    )
    np.testing.assert_allclose([row["scores"] for row in found], expected.scores, atol=1e-5)


def test_grpc(served):
    model, server = served
    given = {"image": X, "baseline": np.full_like(X, 0.2), "target": np.array([2, 2, 0], np.int32)}
    found = by_grpc(server, "explain_integrated_gradients", **given)
    expected = IntegratedGradients(model, steps=6)(X, [2, 2, 0], baseline=0.2)
    np.testing.assert_allclose(found["attributions"], expected.attributions, atol=1e-5)
    np.testing.assert_allclose(found["delta"], expected.delta, atol=1e-5)


ROW = {"image": X[0].tolist(), "target": 0}


@pytest.mark.parametrize(
    ("signature", "instances", "words"),
    [
        ("explain_grad_cam", [{**ROW, "target": 9}], "[9]"),
        ("explain_grad_cam", [{"image": X[0].tolist()}], "target"),
        ("explain_grad_cam", [{**ROW, "image": X[0, :5].tolist()}], "image"),
        ("explain_grad_cam", [{**ROW, "target": "three"}], "target"),
        ("explain_grad_cam", [{**ROW, "image": np.full((8, 8, 1), np.nan).tolist()}], "NaN"),
        ("explain_lime", [ROW], "explain_grad_cam"),
    ],
)
def test_bad_rest_requests(signature, instances, words, served):
    code, error = by_rest(served[1], signature, instances)
    assert code in (400, 404)
    assert words in error
    assert len(by_rest(served[1], "explain_grad_cam", [ROW])) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"image": X * np.nan, "target": np.zeros(3, np.int32)}, "NaN or infinity in rows"),
        ({"image": X, "target": np.array([0, 4, 1], np.int32)}, "from 0 to 3"),
        ({"image": X, "target": np.zeros(2, np.int32)}, "target"),
        ({"image": X, "target": np.zeros(3, np.float32)}, "target"),
    ],
)
def test_bad_grpc_requests(given, words, served):
    with pytest.raises(grpc.RpcError) as caught:
        by_grpc(served[1], "explain_grad_cam", **given)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert words in caught.value.details()
    good = {"image": X, "target": np.zeros(3, np.int32)}
    assert len(by_grpc(served[1], "explain_grad_cam", **good)["scores"]) == 3
