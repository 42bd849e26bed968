"""Settings for TensorFlow Serving beside the versions, to start from."""

from __future__ import annotations

import os
from pathlib import Path

from ..files import write_text

MODELS = "models.config"
BATCHING = "batching_parameters.txt"

_MODELS_TEXT = """\
# tensorflow_model_server --model_config_file=/models/{name}/models.config
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""

_BATCHING_TEXT = """\
# tensorflow_model_server --enable_batching --batching_parameters_file=/models/{name}/batching_parameters.txt
#
# Requests that wait at the same time run together. Explanations check their inputs, and one bad request
# fails those it was joined with; export with checks=False if that matters more to you.
max_batch_size {{ value: 32 }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: 4 }}
"""


def write_configuration(path: str | os.PathLike[str]) -> None:
    """Writes `models.config` and `batching_parameters.txt` where they are missing; yours are kept."""
    folder = Path(path)
    for name, text in {MODELS: _MODELS_TEXT, BATCHING: _BATCHING_TEXT}.items():
        if not (folder / name).exists():
            write_text(folder / name, text.format(name=folder.resolve().name))
