"""A signature's checks, the JSON of tensors, and TensorFlow's messages."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from served_models import DTYPES, images

from keras_pli.serving.server import ModelRepository, ServingError, json_tensors
from keras_pli.serving.server.errors import HTTP_STATUS, useful_part
from keras_pli.serving.server.prediction import Signature


@pytest.fixture(scope="module")
def repository(served_folder):
    return ModelRepository(served_folder)


@pytest.fixture(scope="module")
def explain(repository):
    return repository.load("classifier").signature("explain")


def echo_of(shape, dtype):
    """A signature without a graph, for what is decided before one is called."""
    specs = {"x": tf.TensorSpec(shape, dtype)}
    return Signature("echo", specs, {"y": specs["x"]}, lambda x: {"y": x})


def bad(signature, tensors):
    with pytest.raises(ServingError) as error:
        signature.run(tensors)
    assert error.value.code == "INVALID_ARGUMENT"
    return str(error.value)


def test_signature_reads_names_dtypes_and_shapes(explain):
    assert {name: (s.dtype.name, s.shape.as_list()) for name, s in explain.inputs.items()} == {
        "image": ("float32", [None, 4, 4, 1]),
        "target": ("int32", [None]),
    }
    assert list(explain.outputs) == ["attributions", "scores"]


def test_run_equals_the_closed_form(repository, explain):
    x = images(5)
    target = np.array([0, 1, 2, 2, 0], "int32")
    weights = repository.load("classifier").restored.weights.numpy()
    got = explain.run({"image": x, "target": target})
    expected = x * weights.T[target].reshape(x.shape)
    np.testing.assert_allclose(got["attributions"], expected, atol=1e-6)
    np.testing.assert_allclose(got["scores"], expected.sum((1, 2, 3)), atol=1e-5)


def test_unknown_signature_offers_near_names(repository):
    with pytest.raises(ServingError, match=r"'explain'.*Did you mean 'explain'") as error:
        repository.load("classifier").signature("explian")
    assert error.value.http_status == 400


def test_names(explain):
    x = images(1)
    assert "'target' is missing" in bad(explain, {"image": x})
    message = bad(explain, {"image": x, "tarrget": x})
    assert "takes the inputs 'image', 'target': 'target' is missing, 'tarrget' is not" in message


def test_shapes_are_checked_before_the_graph(explain):
    target = np.zeros(2, "int32")
    message = bad(explain, {"image": images(2)[..., 0], "target": target})
    assert message == "Input 'image' must have shape (?, 4, 4, 1). Received (2, 4, 4)."
    message = bad(explain, {"image": images(2), "target": target[0]})
    assert message == "Input 'target' must have shape (?,). Received ()."


def test_one_batch_which_is_not_empty(explain):
    # TensorFlow would broadcast the one target over three images.
    message = bad(explain, {"image": images(3), "target": np.zeros(1, "int32")})
    assert "'image' has 3, 'target' has 1" in message
    message = bad(explain, {"image": images(0), "target": np.zeros(0, "int32")})
    assert "batch is empty" in message


def test_checks_in_the_graph_come_without_its_nodes(explain):
    x = images(2)
    x[1, 0, 0, 0] = np.nan
    target = np.array([1, 2], "int32")
    message = bad(explain, {"image": x, "target": target})
    assert message == "`image` must be finite : Tensor had NaN values"
    message = bad(explain, {"image": images(2), "target": target + 1})
    assert message.startswith("`target` must lie below 3 [Condition x < y did not hold")
    assert "[2 3]" in message and "{{node" not in message and "Op:" not in message
    explain.run({"image": images(2), "target": target})


def test_messages_without_a_trace_stay_as_they_are():
    assert useful_part("Could not find file [a]") == "Could not find file [a]"
    assert useful_part("assertion failed: [one of [1, 2]] [3]") == "one of [1, 2] [3]"
    assert useful_part("assertion failed: [alone]") == "alone"
    assert useful_part("x [[{{node a}}]] [Op:f]\n\nFunction call stack:\nf -> g") == "x"


@pytest.mark.parametrize("code", HTTP_STATUS)
def test_every_code_is_one_of_grpc(code):
    grpc = pytest.importorskip("grpc")
    assert grpc.StatusCode[code]
    with pytest.raises(ValueError, match="must be one of"):
        ServingError("text", code.lower())


# JSON


def read(request, signature):
    return json_tensors.read(json_tensors.parse(json.dumps(request).encode()), signature)


def refused(request, signature, code="INVALID_ARGUMENT"):
    with pytest.raises(ServingError) as error:
        read(request, signature)
    assert error.value.code == code
    return str(error.value)


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_both_ways(repository, name):
    signature = repository.load("echo").signature(name)
    dtype = np.dtype(name)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        x = np.array([[info.min, 1], [0, info.max]], dtype)
    elif dtype.kind == "f":
        x = np.array([[0.1, -1e30], [1 / 3, np.finfo(dtype).tiny]], dtype)
    else:
        x = np.array([[True, False], [False, True]])
    tensors = read({"instances": x.tolist()}, signature)
    assert tensors["x"].dtype == dtype
    outputs = signature.run(tensors)
    for rows, key in ((True, "predictions"), (False, "outputs")):
        written = json.loads(json_tensors.write(outputs, rows=rows))
        np.testing.assert_array_equal(np.array(written[key], dtype), x, strict=True)


def test_floats_are_written_with_the_shortest_digits_that_give_them_back():
    assert json_tensors.write({"y": np.float32([0.2])}, rows=True) == b'{"predictions": [0.2]}'
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype="uint32")
    x = bits.view("float32")
    x = x[np.isfinite(x)]
    back = json.loads(json_tensors.write({"y": x}, rows=False))["outputs"]
    np.testing.assert_array_equal(np.array(back, "float32").view("uint32"), x.view("uint32"))


def test_not_finite_both_ways():
    signature = echo_of((None,), tf.float32)
    body = b'{"instances": [NaN, Infinity, -Infinity, 1]}'
    x = json_tensors.read(json_tensors.parse(body), signature)["x"]
    np.testing.assert_array_equal(x, [math.nan, math.inf, -math.inf, 1])
    assert json_tensors.write({"y": x}, rows=True) == (
        b'{"predictions": [NaN, Infinity, -Infinity, 1.0]}'
    )


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + "0" * 400])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_number_that_is_too_large_is_not_infinity(number, dtype):
    signature = echo_of((None,), dtype)
    for values in (number, f"0.5, {number}", f"NaN, {number}", f"1, {number}"):
        with pytest.raises(ServingError, match=f"{dtype}, which cannot hold") as error:
            json_tensors.read(json_tensors.parse(b'{"inputs": [%b]}' % values.encode()), signature)
        assert "inf" not in str(error.value)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "int64", "uint64"])
def test_numbers_are_those_of_numpy(dtype):
    kind, generator = np.dtype(dtype), np.random.default_rng(0)
    if kind.kind == "f":
        values = [0, -7, *generator.normal(size=50).tolist(), 2**20, 1e-320, 3.3e38]
    else:
        info = np.iinfo(kind)
        values = [int(info.min), int(info.max), *generator.integers(0, 100, 50).tolist()]
    for given in (values, values[2:-3], [value for value in values if type(value) is int], []):
        found = read({"inputs": given}, echo_of(None, dtype))["x"]
        np.testing.assert_array_equal(found, np.array(given, kind), strict=True)


def test_rows_of_objects_and_columns_are_the_same(explain):
    x = images(2)
    rows = [{"target": t, "image": image.tolist()} for t, image in zip([1, 2], x, strict=True)]
    by_rows = read({"instances": rows}, explain)
    by_columns = read({"inputs": {"image": x.tolist(), "target": [1, 2]}}, explain)
    for name, expected in (("image", x), ("target", np.int32([1, 2]))):
        np.testing.assert_array_equal(by_rows[name], expected, strict=True)
        np.testing.assert_array_equal(by_columns[name], expected, strict=True)


def test_a_single_input_may_be_named_or_not():
    signature = echo_of((None, 2), tf.int32)
    for request in (
        {"instances": [[1, 2]]},
        {"instances": [{"x": [1, 2]}]},
        {"inputs": [[1, 2]]},
        {"inputs": {"x": [[1, 2]]}},
    ):
        np.testing.assert_array_equal(read(request, signature)["x"], [[1, 2]])


def test_base64_and_text():
    signature = echo_of((None,), tf.string)
    request = {"instances": [{"b64": "/wA="}, "wörd", {"x": "named"}]}
    assert "not both" in refused(request, signature)
    tensors = read({"instances": [{"b64": "/wA="}, "wörd"]}, signature)
    assert tensors["x"].tolist() == [b"\xff\x00", "wörd".encode()]
    assert read({"instances": [{"x": {"b64": "AAA="}}]}, signature)["x"].tolist() == [b"\0\0"]
    for text in ("%%", "wörd", "A", "\ud800"):
        assert "not base64" in refused({"instances": [{"b64": text}]}, signature)
    assert "string that is not text" in refused({"instances": ["\ud800"]}, signature)
    assert "must be" in refused({"inputs": [{"b64": "AA==", "more": 1}]}, signature)


def test_bytes_and_text_out():
    text = np.array(["wörd".encode()], object)
    assert json.loads(json_tensors.write({"caption": text}, rows=True)) == {"predictions": ["wörd"]}
    raw = np.array([b"\xff\x00\x00"], object)
    written = json.loads(json_tensors.write({"image_bytes": raw}, rows=True))
    assert written == {"predictions": [{"b64": "/wAA"}]}
    with pytest.raises(ServingError, match="ends in '_bytes'"):
        json_tensors.write({"image": raw}, rows=True)


def test_zero_bytes_at_the_end_stay(repository):
    signature = repository.load("sensors").signature("first")
    outputs = signature.run({"image_bytes": np.array([b"a\0\0", b"b"], object)})
    assert outputs["first_bytes"].item() == b"a\0\0"
    assert json_tensors.write(outputs, rows=False) == b'{"outputs": {"b64": "YQAA"}}'


def test_rows_out_need_one_first_axis():
    a, b = np.zeros((2, 1), "float32"), np.zeros(3, "float32")
    for outputs in ({"a": a, "b": b}, {"a": a, "b": b[0].reshape(())}, {"a": a[0, 0]}):
        outputs = {name: np.asarray(array) for name, array in outputs.items()}
        with pytest.raises(ServingError, match="by columns"):
            json_tensors.write(outputs, rows=True)
        assert "outputs" in json.loads(json_tensors.write(outputs, rows=False))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b'{"instances": [1,]}', "not JSON"),
        (b'{"instances": [nan]}', "not JSON"),
        (b"\xff\xfe\xfd", "not UTF-8"),
        (b"[1, 2]", "must be a JSON object. Received a list of 2"),
        (b'"text"', "must be a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"x": ' + b"1" * 5000 + b"}", "a number that is too long"),
        (b'{"instances": [1], "x": {"a": 1, "b": 2, "a": 3}}', "names twice: 'a'"),
        (b'{"instances": [1], "instances": [2]}', "names twice: 'instances'"),
        (b'{"instances": [1], "signature_name": NaN}', "must be a string. Received NaN"),
        (b'{"instances": NaN}', "must be a list that is not empty. Received NaN"),
        (b'{"inputs": {"x": ' + b'{"x": ' * 500 + b"1" + b"}" * 502, "must hold numbers"),
    ],
)
def test_bodies_that_are_no_request(body, words):
    signature = echo_of((None,), tf.float32)
    with pytest.raises(ServingError, match=words) as error:
        name = json_tensors.signature_name(request := json_tensors.parse(body))
        json_tensors.read(request, signature)
        assert name == ""
    assert error.value.http_status == 400


@pytest.mark.parametrize("depth", [1, 2, 32, 33, 65, 900])
@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_depth_of_lists(key, depth):
    signature = echo_of(None, tf.float32)
    body = b'{"%b": ' % key.encode() + b"[" * depth + b"1.5" + b"]" * depth + b"}"
    request = json_tensors.parse(body)
    if depth <= 32:
        assert json_tensors.read(request, signature)["x"].shape == (1,) * depth
    else:
        with pytest.raises(ServingError, match="input 'x' are nested deeper than 32"):
            json_tensors.read(request, signature)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "one of 'instances'"),
        ({"instance": [1]}, "Received the keys 'instance'"),
        ({"instances": [1], "inputs": [1]}, "one of 'instances'"),
        ({"instances": []}, "not empty. Received a list of 0"),
        ({"instances": {"x": [1]}}, "must be a list"),
        ({"instances": "abc"}, "must be a list"),
        ({"instances": [{"x": 1}, 2]}, "instance 0 is an object .* instance 1 is 2"),
        ({"instances": [{"x": 1}, {"y": 2}]}, "Instance 1: .*'x' is missing, 'y' is not known"),
        ({"inputs": {"y": [1]}}, "'x' is missing"),
        ({"inputs": {}}, "'x' is missing"),
    ],
)
def test_requests_of_the_wrong_form(request_, words):
    with pytest.raises(ServingError, match=words):
        read(request_, echo_of((None,), tf.int32))


@pytest.mark.parametrize(
    ("dtype", "values", "words"),
    [
        ("int32", [1, 2.0], r"must hold integers \(int32\). Received 2.0 at \[1\]"),
        ("int32", [1, True], r"Received true at \[1\]"),
        ("int32", ["1"], r"Received \"1\" at \[0\]"),
        ("int32", [math.nan], r"Received NaN at \[0\]"),
        ("int32", [2**31], "int32, which cannot hold 2147483648"),
        ("uint8", [-1], "cannot hold -1"),
        ("int64", [10**30], "cannot hold 1000"),
        ("float32", ["0.5"], r"must hold numbers \(float32\)"),
        ("float32", [False], "Received false"),
        ("float32", [None], "Received null"),
        ("float32", [{"b64": "AA=="}], "must hold numbers"),
        ("float32", [1e39], "float32, which cannot hold 1e"),
        ("float32", [2**24], "float32, which cannot hold 16777216"),
        ("float64", [10**400], "float64, which cannot hold"),
        ("bool", [1], "must hold true or false"),
        ("string", [1], "must hold strings"),
    ],
)
def test_values_of_the_wrong_kind(dtype, values, words):
    signature = echo_of((None,), dtype)
    with pytest.raises(ServingError, match=words):
        read({"instances": values}, signature)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[1, 2], [3]], r"a list of 2 at \[0\], but a list of 1 at \[1\]"),
        ([[1, 2], 3], r"a list of 2 at \[0\], but 3 at \[1\]"),
        ([1, [2, 3]], r"1 at \[0\], but a list of 2 at \[1\]"),
        ([[[1], [2]], [[3], [4, 5]]], r"a list of 1 at \[0\]\[0\], but a list of 2 at \[1\]\[1\]"),
        ([[1, [2]]], r"1 at \[0\]\[0\], but a list of 1 at \[0\]\[1\]"),
    ],
)
def test_ragged_lists_are_located(values, words):
    signature = echo_of(None, tf.int32)
    with pytest.raises(ServingError, match="ragged: " + words):
        read({"inputs": values}, signature)


def test_dtypes_without_json(repository):
    signature = repository.load("echo").signature("float16")
    message = refused({"instances": [[1.0, 2.0]]}, signature, "UNIMPLEMENTED")
    assert "'x' is half" in message or "'x' is float16" in message
    with pytest.raises(ServingError, match="complex64") as error:
        json_tensors.write({"y": np.zeros(1, "complex64")}, rows=True)
    assert error.value.code == "UNIMPLEMENTED"
