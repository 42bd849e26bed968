"""TensorFlow Serving's gRPC services: PredictionService and ModelService."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import Message
from numpy.typing import NDArray
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from ...checks import quoted
from . import tensor_protos
from .errors import ServingError, known
from .loading import DEFAULT_SIGNATURE, LoadedModel
from .prediction import Signature
from .repository import ModelRepository
from .workers import Workers

THREADS = 256  # they wait: for a message, for a model's first version, for the workers
# A call whose message never comes holds a thread until its connection ends.
AGE_SECONDS = 300
LONGEST_CALL_SECONDS = 900
LARGEST_MESSAGE = 2**31 - 1  # of Protocol Buffers
SIGNATURE_DEF = "signature_def"

logger = logging.getLogger(__name__)


def grpc_server(
    models: ModelRepository, workers: Workers, *, max_request_bytes: int
) -> grpc.Server:
    """Returns a server without a port, not started yet.

    Args:
        models: What is served.
        workers: Who computes.
        max_request_bytes: The largest message that is read; answers have no limit.
    """
    server = grpc.server(
        ThreadPoolExecutor(THREADS, thread_name_prefix="grpc"),
        options=[
            ("grpc.max_receive_message_length", min(max_request_bytes, LARGEST_MESSAGE)),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # else a taken port is shared without a word
            # Clients connect again by themselves.
            ("grpc.max_connection_age_ms", AGE_SECONDS * 1000),
            ("grpc.max_connection_age_grace_ms", LONGEST_CALL_SECONDS * 1000),
        ],
        maximum_concurrent_rpcs=THREADS,
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(models, workers, max_request_bytes), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(models), server)
    return server


def _answered(method: Callable[[Any, Any], Message]) -> Callable[[Any, Any, Any], Message]:
    """Turns a ServingError into the status of the call, and logs one line a call."""

    @functools.wraps(method)
    def answer(self: Any, request: Any, context: grpc.ServicerContext) -> Message:
        code, text = "OK", ""
        try:
            return method(self, request)
        except ServingError as error:
            code, text = error.code, str(error)
        except Exception as error:
            logger.exception("gRPC %s", method.__name__)
            code, text = "INTERNAL", f"{type(error).__name__}: {error}"
        finally:
            logger.info("%s gRPC %s %s", context.peer(), method.__name__, code)
        context.abort(grpc.StatusCode[code], text)

    return answer


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    def __init__(self, models: ModelRepository, workers: Workers, max_request_bytes: int) -> None:
        self._models = models
        self._workers = workers
        self._max_request_bytes = max_request_bytes

    @_answered
    def Predict(self, request: Any) -> Message:
        """Runs one signature; `output_filter` names the outputs that are sent."""
        loaded = _load(self._models, request)
        response: Message = self._workers.submit(self._predict, loaded, request).result()
        return response

    def _predict(self, loaded: LoadedModel, request: Any) -> Message:
        signature = loaded.signature(request.model_spec.signature_name)
        wanted = _filtered(signature, request.output_filter)
        tensors = self._tensors(request.inputs, signature)
        outputs = signature.run(tensors)
        response = predict_pb2.PredictResponse()
        _echo(response.model_spec, loaded)
        response.model_spec.signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        for name in wanted:
            response.outputs[name].CopyFrom(tensor_protos.write(outputs[name]))
        return response

    @_answered
    def GetModelMetadata(self, request: Any) -> Message:
        """Sends the SignatureDef of every signature."""
        if not request.metadata_field:
            raise ServingError(f"'metadata_field' must name {SIGNATURE_DEF!r}. Received nothing.")
        for field in request.metadata_field:
            known(field, [SIGNATURE_DEF], "metadata_field", code="INVALID_ARGUMENT")
        loaded = _load(self._models, request)
        definitions = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in loaded.definitions.items():
            definitions.signature_def[name].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _echo(response.model_spec, loaded)
        response.metadata[SIGNATURE_DEF].Pack(definitions)
        return response

    @_answered
    def Classify(self, request: Any) -> Message:
        """Is not served."""
        raise _only_predict("Classify")

    @_answered
    def Regress(self, request: Any) -> Message:
        """Is not served."""
        raise _only_predict("Regress")

    @_answered
    def MultiInference(self, request: Any) -> Message:
        """Is not served."""
        raise _only_predict("MultiInference")

    def _tensors(self, inputs: Any, signature: Signature) -> dict[str, NDArray[Any]]:
        signature.check_names(inputs)
        tensors = {}
        for name, proto in inputs.items():
            dtype, shape = tensor_protos.dtype(proto, name), tensor_protos.shape(proto, name)
            signature.check_tensor(name, dtype, shape)
            tensors[name] = tensor_protos.read(proto, name, max_bytes=self._max_request_bytes)
        return tensors


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    def __init__(self, models: ModelRepository) -> None:
        self._models = models

    @_answered
    def GetModelStatus(self, request: Any) -> Message:
        """Sends the state of one version, or of all."""
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self._models.status(request.model_spec.name, _version(request.model_spec)):
            entry = response.model_version_status.add()
            entry.version = status.version
            entry.state = entry.State.Value(status.state)
            # The enumeration of error codes has no public import; its descriptor knows the names.
            codes = entry.status.DESCRIPTOR.fields_by_name["error_code"].enum_type
            entry.status.error_code = codes.values_by_name[status.error_code].number
            entry.status.error_message = status.error_message
        return response

    @_answered
    def HandleReloadConfigRequest(self, request: Any) -> Message:
        """Is not served."""
        raise ServingError(
            "The models are those in the folder; a new version is found by itself.", "UNIMPLEMENTED"
        )


def _load(models: ModelRepository, request: Any) -> LoadedModel:
    return models.load(request.model_spec.name, _version(request.model_spec))


def _version(spec: Any) -> int | None:
    if spec.version_label:
        raise ServingError("There are no version labels here; ask by version.", "UNIMPLEMENTED")
    return int(spec.version.value) if spec.HasField("version") else None


def _echo(spec: Any, loaded: LoadedModel) -> None:
    spec.name = loaded.name
    spec.version.value = loaded.version


def _filtered(signature: Signature, names: Any) -> list[str]:
    for name in names:
        known(name, signature.outputs, "output_filter", code="INVALID_ARGUMENT")
    if len(set(names)) < len(names):
        raise ServingError(f"'output_filter' names an output twice: {quoted(names)}.")
    return list(names) or list(signature.outputs)


def _only_predict(method: str) -> ServingError:
    return ServingError(
        f"{method} is not served here: Predict is, and an explanation is a signature of its own, named in "
        "model_spec.signature_name.",
        "UNIMPLEMENTED",
    )
