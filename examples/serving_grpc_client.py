"""Asks a server for a class, and for a heat map that explains it, over TensorFlow Serving's gRPC API.

It works on `keras-pli serve` and on the real server alike, with tensorflow-serving-api and grpcio.

    python examples/serving_grpc_client.py --model digits --signature explain_grad_cam --index 3
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import tensorflow as tf
from serving_samples import (
    client_arguments,
    load_sample,
    request_tensors,
    show,
)
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

SECONDS = 60.0


class Client:
    """One model of a server; `version` None is the newest."""

    def __init__(self, channel, model, version=None):
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._model = model
        self._version = version

    def signature_inputs(self, signature):
        """Returns dtype and shape of each input by name, from the server's metadata."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._address(request.model_spec)
        found = get_model_metadata_pb2.SignatureDefMap()
        answer = self._stub.GetModelMetadata(request, timeout=SECONDS)
        answer.metadata["signature_def"].Unpack(found)
        if signature not in found.signature_def:
            names = ", ".join(sorted(found.signature_def))
            raise SystemExit(f"There is no signature {signature!r}, but {names}.")
        return {
            name: (
                tf.dtypes.as_dtype(info.dtype).name,
                [axis.size for axis in info.tensor_shape.dim],
            )
            for name, info in found.signature_def[signature].inputs.items()
        }

    def predict(self, signature, tensors):
        """Returns the outputs by name."""
        request = predict_pb2.PredictRequest()
        self._address(request.model_spec)
        request.model_spec.signature_name = signature
        for name, tensor in tensors.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(tensor))
        answer = self._stub.Predict(request, timeout=SECONDS)
        return {name: tf.make_ndarray(proto) for name, proto in answer.outputs.items()}

    def _address(self, spec):
        spec.name = self._model
        if self._version is not None:
            spec.version.value = self._version


def main():
    """Sends one sample and shows the answer."""
    arguments = client_arguments(__doc__.splitlines()[0], address=("--server", "127.0.0.1:8500"))
    sample = load_sample(arguments.data, arguments.index)
    with grpc.insecure_channel(arguments.server) as channel:
        client = Client(channel, arguments.model, arguments.version)
        try:
            inputs = client.signature_inputs("serving_default")
            tensors = request_tensors(inputs, sample, -1)
            show(client.predict("serving_default", tensors))
            if arguments.signature != "serving_default":
                inputs = client.signature_inputs(arguments.signature)
                tensors = request_tensors(inputs, sample, arguments.target)
                show(client.predict(arguments.signature, tensors), arguments.out)
        except grpc.RpcError as error:
            raise SystemExit(f"{error.code().name}: {error.details()}") from None


if __name__ == "__main__":
    main()
