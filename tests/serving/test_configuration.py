"""Settings beside the versions, read by the protocol's own parser."""

import pytest

from keras_pli.serving.configuration import write_configuration

text_format = pytest.importorskip("google.protobuf.text_format")


def test_models_config(tmp_path):
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    folder = tmp_path / "digits"
    folder.mkdir()
    write_configuration(folder)
    read = text_format.Parse((folder / "models.config").read_text(), config.ModelServerConfig())
    (model,) = read.model_config_list.config
    assert (model.name, model.base_path) == ("digits", "/models/digits")
    assert model.model_platform == "tensorflow"


def test_batching_parameters(tmp_path):
    write_configuration(tmp_path)
    lines = (tmp_path / "batching_parameters.txt").read_text().splitlines()
    settings = [line.split(" { value: ") for line in lines if not line.startswith("#")]
    assert {name for name, _ in settings} == {
        *("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    }
    assert all(value.removesuffix(" }").isdigit() for _, value in settings)


def test_yours_are_kept(tmp_path):
    (tmp_path / "models.config").write_text("mine")
    write_configuration(tmp_path)
    assert (tmp_path / "models.config").read_text() == "mine"
