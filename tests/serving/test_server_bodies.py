"""Bodies of REST requests as they are packed, and what a small body may not cost."""

import gzip
import json
import tracemalloc
from urllib.request import Request, urlopen

import pytest
from served_models import call, images

from keras_pli.serving.server import ServingError, bodies, json_tensors

pytest.importorskip("uvicorn")
LIMIT = 200_000
BODY = json.dumps({"instances": images(3).tolist()}).encode()


def predict(server, body, encoding):
    url = f"{server.url}/v1/models/classifier:predict"
    return call(url, body, {"Content-Encoding": encoding})


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_gzip_is_the_same_as_without(live, encoding):
    assert predict(live, gzip.compress(BODY), encoding) == predict(live, BODY, "identity")


@pytest.mark.parametrize(
    ("accepted", "rows", "is_packed"),
    [
        ("gzip", 30, True),
        ("br;q=1, GZIP ; q=0.5", 30, True),
        ("gzip", 1, False),  # too short to be worth it
        ("gzip;q=0", 30, False),
        ("br, *", 30, False),
        ("", 30, False),
    ],
)
def test_answer_is_packed_where_the_client_takes_it(live, accepted, rows, is_packed):
    body = json.dumps({"instances": images(rows).tolist()}).encode()
    url = f"{live.url}/v1/models/classifier:predict"
    with urlopen(Request(url, body, {"Accept-Encoding": accepted}), timeout=60) as response:
        assert (response.headers["Content-Encoding"] == "gzip") == is_packed
        assert response.headers["Vary"] == "Accept-Encoding"
        answer = response.read()
    unpacked = json.loads(gzip.decompress(answer) if is_packed else answer)
    assert unpacked == call(url, body)[1]


@pytest.mark.parametrize(
    ("body", "encoding", "expected", "words"),
    [
        (b"\0" * 20_000_000, "gzip", 413, "200000 bytes"),
        (BODY, "br", 415, "'br' is not taken"),
        (BODY, "gzip, gzip", 415, "'gzip, gzip' is not taken"),
        (BODY, "deflate", 415, "by gzip"),
    ],
)
def test_packed_bodies_that_are_refused(live, body, encoding, expected, words):
    status, answer = predict(live, gzip.compress(body), encoding)
    assert status == expected and words in answer["error"]


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (BODY, "is not gzip"),
        (b"", "ends too early"),
        (gzip.compress(BODY)[:-9], "ends too early"),
        (gzip.compress(BODY)[:-8] + b"\0" * 8, "is not gzip"),  # another checksum
        (gzip.compress(BODY) + b"\0", "has more after the end"),
        (gzip.compress(BODY) * 2, "has more after the end"),
    ],
)
def test_what_is_no_gzip_file(packed, words):
    with pytest.raises(ServingError, match=words) as error:
        bodies.unpacked(packed, max_bytes=LIMIT)
    assert error.value.http_status == 400


def test_limit_is_that_of_the_unpacked_body_and_no_more_is_unpacked():
    assert bodies.unpacked(gzip.compress(b" " * LIMIT), max_bytes=LIMIT) == b" " * LIMIT
    bomb = gzip.compress(b" " * 20_000_000)
    tracemalloc.start()
    with pytest.raises(ServingError, match="200000 bytes"):
        bodies.unpacked(bomb, max_bytes=LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * LIMIT


def test_lists_are_counted_before_they_are_made(monkeypatch):
    monkeypatch.setattr(json_tensors.json, "loads", lambda *_, **__: 1 / 0)
    for item in (b"[],", b"[0],", b"[ ],", b"{},", b'"":0,'):
        with pytest.raises(ServingError, match="the limit is 1000") as error:
            json_tensors.parse(b'{"instances": [' + item * 1000 + b"0]}", max_lists=1000)
        assert error.value.http_status == 413


@pytest.mark.slow
def test_body_of_empty_lists_is_refused(live):
    body = b'{"instances": [' + b"[]," * 60_000 + b"[]]}"
    status, answer = predict(live, body, "identity")
    assert status == 400 and "Received (60001, 0)" in answer["error"]
    with pytest.raises(ServingError, match="lists, objects and names"):
        json_tensors.parse(b"[]," * (json_tensors.MAX_LISTS + 1))
