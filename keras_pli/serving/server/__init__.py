"""A local server that speaks TensorFlow Serving's REST and gRPC interfaces, for trying out and for tests.

It needs starlette and uvicorn, and for gRPC grpcio and tensorflow-serving-api: `pip install
'keras-pli[serving]'`. The models need neither Keras nor keras_pli: a SavedModel holds its own graph.
"""

from .errors import ServingError
from .repository import ModelRepository
from .server import LocalServer, serve

__all__ = ["LocalServer", "ModelRepository", "ServingError", "serve"]
