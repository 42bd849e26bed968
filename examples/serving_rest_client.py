"""Asks a server for a class, and for a heat map that explains it, over TensorFlow Serving's REST API.

It works on `keras-pli serve` and on the real server alike, with the standard library and NumPy.

    python examples/serving_rest_client.py --model digits --signature explain_grad_cam --index 3
"""

from __future__ import annotations

import json
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from serving_samples import (
    client_arguments,
    load_sample,
    request_tensors,
    show,
)

DTYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_INT32": "int32", "DT_UINT8": "uint8"}


def ask(url, body=None):
    """Returns the JSON that answers a GET, or a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, {"Content-Type": "application/json"})) as response:
            return json.load(response)
    except HTTPError as error:
        raise SystemExit(f"{error.code}: {json.load(error)['error']}") from None
    except URLError as error:
        raise SystemExit(f"No answer from {url}: {error.reason}.") from None


def signature_inputs(url, signature):
    """Returns dtype and shape of each input by name, from the server's metadata."""
    found = ask(f"{url}/metadata")["metadata"]["signature_def"]["signature_def"]
    if signature not in found:
        raise SystemExit(f"There is no signature {signature!r}, but {', '.join(sorted(found))}.")
    inputs = {}
    for name, info in found[signature]["inputs"].items():
        shape = [int(axis["size"]) for axis in info["tensor_shape"]["dim"]]
        inputs[name] = (DTYPES[info["dtype"]], shape)
    return inputs


def predict(url, signature, tensors):
    """Returns the outputs by name."""
    columns = {name: tensor.tolist() for name, tensor in tensors.items()}
    answer = ask(f"{url}:predict", {"signature_name": signature, "inputs": columns})["outputs"]
    # A single output comes without its name.
    return answer if isinstance(answer, dict) else {signature: answer}


def main():
    """Sends one sample and shows the answer."""
    arguments = client_arguments(
        __doc__.splitlines()[0], address=("--url", "http://127.0.0.1:8501")
    )
    url = f"{arguments.url}/v1/models/{arguments.model}"
    if arguments.version is not None:
        url += f"/versions/{arguments.version}"
    sample = load_sample(arguments.data, arguments.index)

    inputs = signature_inputs(url, "serving_default")
    show(predict(url, "serving_default", request_tensors(inputs, sample, -1)))
    if arguments.signature != "serving_default":
        inputs = signature_inputs(url, arguments.signature)
        tensors = request_tensors(inputs, sample, arguments.target)
        show(predict(url, arguments.signature, tensors), arguments.out)


if __name__ == "__main__":
    main()
