"""TensorFlow Serving's REST API, against a live server."""

import http.client
import json
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from served_models import (
    call,
    eventually,
    images,
    in_python,
    save_classifier,
)

from keras_pli.serving.server import LocalServer, loading

pytest.importorskip("uvicorn")
CLASSIFIER = "/v1/models/classifier"


def predict(server, body, *, model="classifier", version=None, headers=None):
    at = "" if version is None else f"/versions/{version}"
    return call(f"{server.url}/v1/models/{model}{at}:predict", body, headers)


def test_rows_equal_the_signature(live, served_folder):
    x = images(5)
    status, answer = predict(live, {"instances": x.tolist()})
    expected = in_python(served_folder / "classifier" / "2", "serving_default", image=x)
    assert status == 200
    assert [set(row) for row in answer["predictions"]] == [{"logits", "probabilities"}] * 5
    for name, values in expected.items():
        got = np.float32([row[name] for row in answer["predictions"]])
        np.testing.assert_allclose(got, values, rtol=1e-6)


@pytest.mark.parametrize("version", [1, 2])
def test_columns_signature_and_version(live, served_folder, version):
    x, target = images(4), np.int32([0, 1, 2, 1])
    body = {
        "signature_name": "explain",
        "inputs": {"image": x.tolist(), "target": target.tolist()},
    }
    status, answer = predict(live, body, version=version)
    folder = served_folder / "classifier" / str(version)
    expected = in_python(folder, "explain", image=x, target=target)
    assert status == 200 and answer.keys() == {"outputs"}
    assert answer["outputs"].keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(np.float32(answer["outputs"][name]), values, rtol=1e-6)


def test_a_single_output_goes_without_its_name(live, served_folder):
    x = images(3)
    expected = in_python(served_folder / "classifier" / "2", "top", image=x)["top"].tolist()
    body = {"signature_name": "top", "instances": [{"image": image} for image in x.tolist()]}
    assert predict(live, body) == (200, {"predictions": expected})
    body = {"signature_name": "top", "inputs": x.tolist()}
    assert predict(live, body) == (200, {"outputs": expected})


# The examples of TensorFlow Serving's documentation (g3doc/api_rest.md).


def test_documented_half_plus_three(live):
    assert call(f"{live.url}/v1/models/half_plus_three") == (
        200,
        {
            "model_version_status": [
                {
                    "version": "123",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        },
    )
    # As `curl -d` sends it.
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b'{"instances": [1.0,2.0,5.0]}'
    answer = predict(live, body, model="half_plus_three", headers=form)
    assert answer == (200, {"predictions": [3.5, 4.0, 5.5]})
    status, answer = predict(live, b'{"instances": [1.0,5.0]}', model="half")
    assert status == 404
    assert "'half_plus_three'" in answer["error"] and "Received: 'half'" in answer["error"]


def test_documented_rows_and_columns(live):
    rows = [
        {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
        {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
    ]
    columns = {
        "tag": ["foo", "bar"],
        "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
        "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
    }
    expected = {
        "caption": ["FOO", "BAR"],
        "raw_bytes": [{"b64": "Zm9v/wA="}, {"b64": "YmFy/wA="}],
        "mean": [3.0, 3.0],
        "sensor": columns["sensor"],
        "large": [False, True],
    }
    status, by_rows = predict(live, {"instances": rows}, model="sensors")
    assert status == 200
    assert by_rows["predictions"] == [
        {name: values[index] for name, values in expected.items()} for index in range(2)
    ]
    assert predict(live, {"inputs": columns}, model="sensors") == (200, {"outputs": expected})


def test_documented_base64(live):
    rows = [
        {"image_bytes": {"b64": "aW1hZ2UgYnl0ZXM="}},
        {"image_bytes": {"b64": "YXdlc29tZSBpbWFnZSBieXRlcw=="}},
    ]
    expected = [len(b"image bytes"), len(b"awesome image bytes")]
    body = {"signature_name": "length", "instances": rows}
    assert predict(live, body, model="sensors") == (200, {"predictions": expected})


def test_not_finite_values_come_as_tokens(live):
    body = {"signature_name": "inverse", "instances": [0.0, -0.0, float("nan"), 4]}
    status, answer = predict(live, body, model="half_plus_three")
    assert status == 200
    np.testing.assert_array_equal(answer["predictions"], [np.inf, -np.inf, np.nan, 0.25])


def test_metadata_is_shaped_as_documented(live):
    status, answer = call(f"{live.url}{CLASSIFIER}/versions/1/metadata")
    assert status == 200
    spec = {"name": "classifier", "signature_name": "", "version": "1"}
    assert answer["model_spec"] == spec
    definitions = answer["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "explain", "top"} <= definitions.keys()
    explain = definitions["explain"]
    assert explain["method_name"] == "tensorflow/serving/predict"
    assert explain["inputs"]["image"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": size, "name": ""} for size in ("-1", "4", "4", "1")],
            "unknown_rank": False,
        },
        "name": "explain_image:0",
    }
    assert explain["inputs"]["target"]["dtype"] == "DT_INT32"
    assert explain["outputs"].keys() == {"attributions", "scores"}
    assert call(f"{live.url}{CLASSIFIER}/metadata")[1]["model_spec"]["version"] == "2"


def test_metadata_is_the_json_of_the_protobuf(live, served_folder):
    from google.protobuf.json_format import ParseDict
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

    graph = (served_folder / "sensors" / "1" / "saved_model.pb").read_bytes()
    wanted = saved_model_pb2.SavedModel.FromString(graph).meta_graphs[0].signature_def
    _, answer = call(f"{live.url}/v1/models/sensors/metadata")
    definitions = answer["metadata"]["signature_def"]["signature_def"]
    got = {
        name: ParseDict(value, meta_graph_pb2.SignatureDef()) for name, value in definitions.items()
    }
    assert got == dict(wanted)


def test_listing(live):
    for address in ("/", "/v1/models"):
        status, answer = call(live.url + address)
        assert status == 200
        found = {model["name"]: model for model in answer["models"]}
        assert found.keys() == {"classifier", "echo", "half_plus_three", "ranks", "sensors"}
        assert found["classifier"]["versions"] == [1, 2]
        assert found["classifier"]["signatures"] == ["explain", "serving_default", "top"]


BAD_REQUESTS = {
    "no JSON": (b"{", 400, "not JSON"),
    "empty body": (b"", 400, "not JSON"),
    "not an object": (b"[]", 400, "must be a JSON object"),
    "wrong key": ({"instance": []}, 400, "'instance'"),
    "signature": ({"signature_name": "explian", "instances": [1]}, 400, "Did you mean 'explain'"),
    "signature is no text": ({"signature_name": 3, "instances": [1]}, 400, "must be a string"),
    "shape": ({"instances": [[1, 2]]}, 400, "must have shape (?, 4, 4, 1). Received (1, 2)"),
    "type": ({"instances": ["cat"]}, 400, "must hold numbers (float32)"),
    "nested": (b'{"inputs": %b1%b}' % (b"[" * 65, b"]" * 65), 400, "nested deeper than 32"),
    "a name twice": (b'{"inputs": [1], "inputs": [2]}', 400, "names twice: 'inputs'"),
    "too large a number": (b'{"inputs": [1e400]}', 400, "beyond 1.8e308"),
    "ragged": ({"instances": [[[1], [2, 3]]]}, 400, "ragged"),
    "empty batch": ({"instances": []}, 400, "not empty"),
    "unknown input": ({"inputs": {"picture": [1]}}, 400, "'picture' is not known"),
    "not named": ({"signature_name": "explain", "instances": [[1]]}, 400, "must be named"),
    "NaN": ({"instances": np.full((1, 4, 4, 1), np.nan).tolist()}, 400, "must be finite"),
    "class": (
        {
            "signature_name": "explain",
            "inputs": {"image": np.ones((2, 4, 4, 1)).tolist(), "target": [0, 3]},
        },
        400,
        "`target` must lie below 3",
    ),
    "two batches": (
        {
            "signature_name": "explain",
            "inputs": {"image": np.ones((2, 4, 4, 1)).tolist(), "target": [0]},
        },
        400,
        "'image' has 2, 'target' has 1",
    ),
    "too large": (b" " * 300_000, 413, "200000 bytes"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_requests_and_a_good_one_after(live, name):
    body, expected, words = BAD_REQUESTS[name]
    status, answer = predict(live, body)
    assert (status, list(answer)) == (expected, ["error"])
    assert words in answer["error"]
    assert predict(live, {"instances": images(1).tolist()})[0] == 200


@pytest.mark.parametrize(
    ("address", "posted", "expected", "words"),
    [
        (CLASSIFIER + "/versions/7", False, 404, "one of 1, 2. Received: 7"),
        (CLASSIFIER + "/versions/7:predict", True, 404, "one of 1, 2. Received: 7"),
        (CLASSIFIER + "/versions/new", False, 400, "whole number. Received: 'new'"),
        (CLASSIFIER + "/versions/" + "9" * 5000, False, 400, "whole number"),
        (CLASSIFIER + "/versions/9999999999999999999", False, 404, "one of 1, 2"),
        (CLASSIFIER + "/labels/stable", False, 501, "version labels"),
        (CLASSIFIER + "/labels/stable:predict", True, 501, "version labels"),
        (CLASSIFIER + ":classify", True, 501, "'classify'"),
        (CLASSIFIER + ":explain", True, 501, "signature_name"),
        (CLASSIFIER + ":predict", False, 405, "Method Not Allowed"),
        (CLASSIFIER, True, 405, "Method Not Allowed"),
        ("/v1/models/clasifier/metadata", False, 404, "Did you mean 'classifier'"),
        ("/v2/models", False, 404, "There are GET /"),
    ],
)
def test_addresses(live, address, posted, expected, words):
    status, answer = call(live.url + address, b"{}" if posted else None)
    assert status == expected
    assert words in answer["error"]


def test_announced_length_is_refused_before_the_body(live):
    connection = http.client.HTTPConnection("127.0.0.1", live.rest_port, timeout=60)
    connection.putrequest("POST", CLASSIFIER + ":predict")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_length_is_watched_while_the_body_streams(live):
    def chunks():
        for _ in range(100):
            yield b" " * 10_000

    connection = http.client.HTTPConnection("127.0.0.1", live.rest_port, timeout=60)
    connection.request("POST", CLASSIFIER + ":predict", chunks(), encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 413
    assert "200000 bytes" in json.load(response)["error"]
    connection.close()


@pytest.mark.parametrize(
    "connection", [pytest.param("close", marks=pytest.mark.slow), "keep-alive"]
)
def test_client_that_sends_before_it_listens_sees_the_refusal(live, connection):
    # More than the system's buffers hold; urllib closes, as its clients do.
    status, answer = predict(live, b" " * (50 << 20), headers={"Connection": connection})
    assert status == 413 and "200000 bytes" in answer["error"]


def test_client_that_leaves_does_not_matter(live):
    with socket.create_connection(("127.0.0.1", live.rest_port)) as half:
        half.sendall(b"POST /v1/models/classifier:predict HTTP/1.1\r\nContent-Length: 50\r\n\r\n{")
    assert predict(live, {"instances": images(1).tolist()})[0] == 200


def test_eight_threads_each_get_their_own_answer(live, served_folder):
    batches = [images(1 + seed % 3, seed=seed) for seed in range(40)]
    together = np.concatenate(batches)
    weights = in_python(served_folder / "classifier" / "2", "serving_default", image=together)
    expected = np.split(weights["logits"], np.cumsum([len(x) for x in batches])[:-1])

    def ask(x):
        _, answer = predict(live, {"instances": x.tolist()})
        return np.float32([row["logits"] for row in answer["predictions"]])

    with ThreadPoolExecutor(8) as pool:
        for got, wanted in zip(pool.map(ask, batches), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements(live):
    connection = http.client.HTTPConnection("127.0.0.1", live.rest_port, timeout=60)
    seconds = []
    for _ in range(60):
        start = time.perf_counter()
        connection.request("GET", CLASSIFIER)
        connection.getresponse().read()
        seconds.append(time.perf_counter() - start)
    connection.close()
    # With Nagle's delay each takes 0.04; on a loaded machine some take long without.
    assert sorted(seconds)[5] < 0.03


@pytest.mark.slow
def test_version_that_appears_and_one_that_is_broken(tmp_path):
    save_classifier(tmp_path / "new", 1, seed=1)
    x = images(2)
    with LocalServer(tmp_path / "new", grpc_port=None) as server:

        def logits(version=None):
            _, answer = predict(server, {"inputs": x.tolist()}, model="new", version=version)
            return answer["outputs"]["logits"]

        def expected(version):
            return in_python(tmp_path / "new" / str(version), "serving_default", image=x)["logits"]

        np.testing.assert_allclose(logits(), expected(1), rtol=1e-6)
        save_classifier(tmp_path, 2, seed=2)
        (tmp_path / "2").rename(tmp_path / "new" / "2")
        eventually(lambda: np.allclose(logits(), expected(2), rtol=1e-6))
        np.testing.assert_allclose(logits(1), expected(1), rtol=1e-6)

        shutil.copytree(tmp_path / "new" / "2", tmp_path / "3")
        (tmp_path / "3" / "saved_model.pb").write_bytes(b"\xff" * 20)
        (tmp_path / "3").rename(tmp_path / "new" / "3")
        np.testing.assert_allclose(logits(), expected(2), rtol=1e-6)
        eventually(lambda: server.models.states("new")[0].state == "END")
        _, answer = call(f"{server.url}/v1/models/new")
        states = [(s["version"], s["state"]) for s in answer["model_version_status"]]
        assert states == [("3", "END"), ("2", "AVAILABLE"), ("1", "AVAILABLE")]
        assert answer["model_version_status"][0]["status"]["error_message"]
        status, answer = predict(server, {"inputs": x.tolist()}, model="new", version=3)
        assert status == 404 and "does not load" in answer["error"]


@pytest.mark.slow
def test_requests_are_answered_while_versions_and_models_load(tmp_path, monkeypatch):
    for name in ("new", "other"):
        save_classifier(tmp_path / name, 1, seed=1)
    go, read = threading.Event(), loading.read
    with LocalServer(tmp_path, grpc_port=None) as server, ThreadPoolExecutor(24) as pool:
        body = {"inputs": images(1).tolist()}
        before = predict(server, body, model="new")
        monkeypatch.setattr(loading, "read", lambda *named: go.wait(60) and read(*named))
        shutil.copytree(tmp_path / "new" / "1", tmp_path / "new" / "2")
        # More requests wait for another model's first version than there are threads that compute.
        waiting = [pool.submit(predict, server, body, model="other") for _ in range(24)]
        for _ in range(3):
            assert predict(server, body, model="new") == before
        assert call(f"{server.url}/v1/models/new")[0] == 200
        assert not any(answer.done() for answer in waiting)
        go.set()
        assert {answer.result(60)[0] for answer in waiting} == {200}


@pytest.mark.slow
def test_listing_tells_a_model_that_does_not_load(tmp_path):
    save_classifier(tmp_path / "broken", 1, seed=1)
    shutil.rmtree(tmp_path / "broken" / "1" / "variables")
    save_classifier(tmp_path / "good", 1, seed=1)
    with LocalServer(tmp_path, grpc_port=None) as server:
        _, answer = call(server.url)
    broken, good = answer["models"]
    assert "does not load" in broken["error"] and "signatures" in good


def test_what_nobody_foresaw_is_an_error_500(tmp_path, monkeypatch):
    save_classifier(tmp_path / "digits", 1, seed=1)
    with LocalServer(tmp_path, grpc_port=None) as server:
        with monkeypatch.context() as patch:
            patch.setattr(server.models, "ready", lambda *_: 1 / 0)
            status, answer = predict(server, {"instances": [1]}, model="digits")
        assert (status, answer["error"]) == (500, "ZeroDivisionError: division by zero")
        body = {"instances": images(1).tolist()}
        assert predict(server, body, model="digits")[0] == 200
