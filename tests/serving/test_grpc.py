"""TensorFlow Serving's gRPC services, against a live server."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from served_models import (
    DTYPES,
    images,
    in_python,
    save_classifier,
)
from slow_cases import slow

from keras_pli.serving.server import LocalServer

pytest.importorskip("uvicorn")
grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving")
from tensorflow.core.framework import tensor_pb2  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)


class Client:
    def __init__(self, server):
        self.channel = grpc.insecure_channel(server.grpc_target)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, model="classifier", signature="", version=None, only=(), **inputs):
        request = predict_pb2.PredictRequest(output_filter=only)
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        for name, value in inputs.items():
            proto = value if not isinstance(value, np.ndarray) else tf.make_tensor_proto(value)
            request.inputs[name].CopyFrom(proto)
        return self.prediction.Predict(request, timeout=60)

    def refused(self, *args, **kwargs):
        with pytest.raises(grpc.RpcError) as error:
            self.predict(*args, **kwargs)
        return error.value.code().name, error.value.details()


@pytest.fixture(scope="module")
def client(live):
    client = Client(live)
    with client.channel:
        yield client


def arrays(response):
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


@pytest.mark.parametrize("version", [None, slow(1), slow(2)])
def test_predict_equals_the_signature(client, served_folder, version):
    x, target = images(4), np.int32([0, 1, 2, 1])
    response = client.predict("classifier", "explain", version, image=x, target=target)
    folder = served_folder / "classifier" / str(version or 2)
    expected = in_python(folder, "explain", image=x, target=target)
    got = arrays(response)
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, strict=True)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == (
        "classifier",
        version or 2,
        "explain",
    )


def test_default_signature_is_named_in_the_answer(client):
    response = client.predict(image=images(1))
    assert response.model_spec.signature_name == "serving_default"
    assert response.outputs.keys() == {"logits", "probabilities"}


def test_values_lie_in_the_fields_that_clients_read(client):
    response = client.predict("half_plus_three", x=np.float32([1, 2, 5]))
    assert list(response.outputs["y"].float_val) == [3.5, 4.0, 5.5]
    assert response.outputs["y"].tensor_content == b""


@pytest.mark.parametrize("name", [*DTYPES, "float16", "string"])
@pytest.mark.parametrize("rows", [1, 3])
def test_every_dtype_both_ways(client, name, rows):
    values = np.arange(2 * rows).reshape(rows, 2) % 5
    if name == "string":
        x = values.astype("S1").astype(object)
    else:
        x = (values / 3 if name.startswith("f") else values).astype(name)
    got = arrays(client.predict("echo", name, x=x))["y"]
    np.testing.assert_array_equal(got, x)
    assert got.dtype == x.dtype


def test_output_filter(client):
    response = client.predict(only=["logits"], image=images(2))
    assert list(response.outputs) == ["logits"]
    code, text = client.refused(only=["logit"], image=images(2))
    assert code == "INVALID_ARGUMENT" and "Did you mean 'logits'" in text
    code, text = client.refused(only=["logits", "logits"], image=images(2))
    assert code == "INVALID_ARGUMENT" and "twice" in text


def no_rank():
    proto = tf.make_tensor_proto(images(1))
    proto.tensor_shape.Clear()
    proto.tensor_shape.unknown_rank = True
    return proto


def truncated():
    proto = tf.make_tensor_proto(images(2))
    proto.tensor_content = proto.tensor_content[:-3]
    return proto


def one_value_for_many():
    proto = tf.make_tensor_proto(np.float32([1]))
    proto.tensor_shape.CopyFrom(tf.TensorShape((10**9, 4, 4, 1)).as_proto())
    return proto


def message(dtype=np.float32, shape=(1, 4, 4, 1), **fields):
    dtype = dtype if isinstance(dtype, int) else tf.as_dtype(dtype).as_datatype_enum
    proto = tensor_pb2.TensorProto(dtype=dtype, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


NAN = images(1) * np.nan
INVALID = "INVALID_ARGUMENT"
BAD_REQUESTS = {
    "model": ({"model": "clasifier"}, "NOT_FOUND", "Did you mean 'classifier'"),
    "no model": ({"model": ""}, "NOT_FOUND", "`model` must be one of"),
    "version": ({"version": 9}, "NOT_FOUND", "one of 1, 2. Received: 9"),
    "signature": ({"signature": "explian"}, "FAILED_PRECONDITION", "Did you mean 'explain'"),
    "nothing": ({}, "INVALID_ARGUMENT", "'image' is missing"),
    "unknown input": ({"images": images(1)}, "INVALID_ARGUMENT", "'images' is not known"),
    "double": ({"image": images(1).astype("f8")}, "INVALID_ARGUMENT", "Received float64"),
    "shape": ({"image": images(1)[0]}, "INVALID_ARGUMENT", "Received (4, 4, 1)"),
    "empty batch": ({"image": images(0)}, "INVALID_ARGUMENT", "batch is empty"),
    "NaN": ({"image": NAN}, "INVALID_ARGUMENT", "`image` must be finite"),
    "cut": ({"image": truncated()}, "INVALID_ARGUMENT", "is not a tensor of shape (2, 4, 4, 1)"),
    "bomb": ({"image": one_value_for_many()}, "RESOURCE_EXHAUSTED", "200000 bytes"),
    "negative size": ({"image": message(shape=(-1, 4, 4, 1))}, INVALID, "(-1, 4, 4, 1)"),
    "unknown rank": ({"image": no_rank()}, INVALID, "unknown rank"),
    "unknown dtype": ({"image": message(999)}, INVALID, "Received the number 999"),
    "no dtype": ({"image": message(0)}, INVALID, "Received the number 0"),
    "reference": ({"image": message(101)}, INVALID, "must be float32. Received float32_ref"),
    "enormous": ({"image": message(shape=(2**62, 4, 4, 1))}, "RESOURCE_EXHAUSTED", "larger than"),
    "nothing of much": ({"image": message(shape=(2**62, 0))}, INVALID, "must have shape"),
    "nothing of much that fits": (
        {"model": "ranks", "x": message(shape=(2**62, 0))},
        INVALID,
        "is not a tensor of shape (4611686018427387904, 0)",
    ),
    "many axes": ({"model": "ranks", "x": message(shape=(1,) * 300)}, INVALID, "is not a tensor"),
    "content too short": (
        {"image": message(tensor_content=b"\0" * 63)},
        INVALID,
        "'tensor_content' has 63 bytes, and 64 are needed",
    ),
    "too many values": ({"image": message(float_val=[0] * 17)}, INVALID, "17 values, and 16 are"),
    "strings for numbers": (
        {"image": message(string_val=[b"1"])},
        INVALID,
        "values of float32 come in 'float_val' or 'tensor_content', not in 'string_val'",
    ),
    "halves for numbers": ({"image": message(half_val=[1])}, INVALID, "not in 'half_val'"),
    "two fields": ({"image": message(float_val=[1], int_val=[1])}, INVALID, "not in 'int_val'"),
    "string in bytes": (
        {
            "model": "echo",
            "signature": "string",
            "x": message("string", (1, 2), tensor_content=b"ab"),
        },
        INVALID,
        "strings come in 'string_val'",
    ),
    "one string for many": (
        {
            "model": "echo",
            "signature": "string",
            "x": message("string", (999, 2), string_val=[b"a" * 999]),
        },
        "RESOURCE_EXHAUSTED",
        "200000 bytes",
    ),
    "no half": (
        {
            "model": "echo",
            "signature": "float16",
            "x": message("float16", (1, 2), half_val=[70_000]),
        },
        INVALID,
        "is not a tensor of shape (1, 2)",
    ),
    "no byte": (
        {"model": "echo", "signature": "uint8", "x": message("uint8", (1, 2), int_val=[-1])},
        INVALID,
        "is not a tensor of shape (1, 2)",
    ),
    "too large": ({"image": images(5000)}, "RESOURCE_EXHAUSTED", "larger than max"),
    "class": (
        {"signature": "explain", "image": images(2), "target": np.int32([0, 3])},
        "INVALID_ARGUMENT",
        "`target` must lie below 3",
    ),
    "two batches": (
        {"signature": "explain", "image": images(2), "target": np.int32([0])},
        "INVALID_ARGUMENT",
        "'image' has 2, 'target' has 1",
    ),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_requests_and_a_good_one_after(client, name):
    request, expected, words = BAD_REQUESTS[name]
    code, text = client.refused(**request)
    assert code == expected
    assert words in text
    assert client.predict(image=images(1)).outputs


def test_short_forms_of_a_tensor(client):
    def sent(name, **given):
        return arrays(client.predict("echo", name, x=message(name, (2, 2), **given)))["y"]

    np.testing.assert_array_equal(sent("float32"), np.zeros((2, 2)))
    np.testing.assert_array_equal(sent("float32", float_val=[1, 2]), [[1, 2], [2, 2]])
    np.testing.assert_array_equal(
        sent("string", string_val=[b"a", b"b"]), [[b"a", b"b"], [b"b"] * 2]
    )
    np.testing.assert_array_equal(sent("bool", tensor_content=b"\0\1\2\xff"), [[0, 1], [1, 1]])
    half = np.float16([1.5]).view("uint16").tolist()
    np.testing.assert_array_equal(sent("float16", half_val=half), np.full((2, 2), 1.5))


def test_what_the_graph_does_not_implement_says_so(client):
    response = client.predict("ranks", x=message(shape=(2,) * 8, float_val=[1]))
    assert arrays(response)["y"].shape == (2,) * 8
    code, text = client.refused("ranks", x=message(shape=(2,) * 9, float_val=[1]))
    assert code == "UNIMPLEMENTED" and "rank > 8" in text


@pytest.mark.slow
def test_eight_threads_each_get_their_own_answer(client, served_folder):
    batches = [images(1 + seed % 3, seed=seed) for seed in range(40)]
    folder = served_folder / "classifier" / "2"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda x: arrays(client.predict(image=x))["logits"], batches))
    together = in_python(folder, "serving_default", image=np.concatenate(batches))["logits"]
    np.testing.assert_allclose(np.concatenate(answers), together, rtol=1e-5, atol=1e-6)


def test_metadata_is_the_signature_defs_of_the_file(client, served_folder):
    from tensorflow.core.protobuf import saved_model_pb2

    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "sensors"
    response = client.prediction.GetModelMetadata(request)
    definitions = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(definitions)
    graph = (served_folder / "sensors" / "1" / "saved_model.pb").read_bytes()
    wanted = saved_model_pb2.SavedModel.FromString(graph).meta_graphs[0].signature_def
    assert dict(definitions.signature_def) == dict(wanted)
    assert response.model_spec.version.value == 1

    for fields, words in ((["signature"], "one of 'signature_def'"), ([], "Received nothing")):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        with pytest.raises(grpc.RpcError) as error:
            client.prediction.GetModelMetadata(request)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert words in error.value.details()


def test_status(tmp_path):
    save_classifier(tmp_path / "digits", 1, seed=1)
    shutil.copytree(tmp_path / "digits" / "1", tmp_path / "digits" / "2")
    shutil.rmtree(tmp_path / "digits" / "2" / "variables")
    with LocalServer(tmp_path) as server:
        client = Client(server)
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "digits"
        with client.channel:
            broken, good = client.models.GetModelStatus(request).model_version_status
    states = get_model_status_pb2.ModelVersionStatus
    assert (broken.version, broken.state) == (2, states.END)
    assert broken.status.error_code == 2 and "variables" in broken.status.error_message
    assert (good.version, good.state) == (1, states.AVAILABLE)
    assert (good.status.error_code, good.status.error_message) == (0, "")


def test_what_is_not_served_says_so(client):
    service = client.prediction
    calls = [
        (service.Classify, classification_pb2.ClassificationRequest()),
        (service.Regress, regression_pb2.RegressionRequest()),
        (service.MultiInference, inference_pb2.MultiInferenceRequest()),
        (client.models.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
    ]
    label = predict_pb2.PredictRequest()
    label.model_spec.name = "classifier"
    label.model_spec.version_label = "stable"
    for method, request in [*calls, (service.Predict, label)]:
        with pytest.raises(grpc.RpcError) as error:
            method(request)
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert "Method not" not in error.value.details()


@pytest.mark.slow
def test_what_nobody_foresaw_is_internal(tmp_path, monkeypatch):
    save_classifier(tmp_path / "classifier", 1, seed=1)
    with LocalServer(tmp_path) as server:
        client = Client(server)
        with client.channel:
            with monkeypatch.context() as patch:
                patch.setattr(server.models, "load", lambda *_: 1 / 0)
                code, text = client.refused(image=images(1))
            assert (code, text) == ("INTERNAL", "ZeroDivisionError: division by zero")
            assert client.predict(image=images(1)).outputs
