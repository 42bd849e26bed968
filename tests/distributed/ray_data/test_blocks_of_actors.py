"""Blocks are of so many batches that all actors get some."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from ray.data.block import BlockAccessor

from keras_pli.distributed import activations
from keras_pli.distributed.ray_data import blocks
from keras_pli.distributed.ray_data.blocks import block_bytes
from keras_pli.parquet import write_columns

MIB = 2**20


def ray_types(**columns):
    return BlockAccessor.batch_to_arrow_block(columns).schema.types


@pytest.mark.parametrize(
    "types",
    [
        [pa.fixed_shape_tensor(pa.uint8(), [100, 100, 3]), pa.int64(), pa.string()],
        ray_types(image=np.zeros((2, 100, 100, 3), "uint8"), label=np.zeros(2, int), id=["a", "b"]),
        [pa.list_(pa.list_(pa.uint8(), 300), 100), pa.float64()],
    ],
    ids=["arrow", "ray", "lists of one length"],
)
def test_a_block_holds_sixteen_batches(types):
    assert block_bytes(types, 50, 128 * MIB) == 16 * 50 * (30_000 + 8)


def test_limits():
    small, large = [pa.float32()], [pa.fixed_shape_tensor(pa.float32(), [1000, 1000])]
    assert block_bytes(small, 64, 128 * MIB) == 4 * MIB
    assert block_bytes(small, 64, MIB) == MIB
    assert block_bytes(large, 64, 128 * MIB) == 128 * MIB
    assert block_bytes(large, 64, None) == 16 * 64 * 4_000_000


@pytest.mark.parametrize(
    "types",
    [[], [pa.binary()], [pa.list_(pa.float32())], pd.DataFrame({"x": [1]}).dtypes],
    ids=["none", "bytes", "lists", "pandas"],
)
def test_what_has_no_size_leaves_the_limit_of_the_caller(types):
    assert block_bytes(types, 64, 7 * MIB) == 7 * MIB


@pytest.mark.slow
def test_one_read_is_shared_out_among_the_actors(cluster, stored, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "LEAST", 1)
    x = np.random.default_rng(0).random((4000, 8, 8, 1), np.float32)
    for part in range(4):
        rows = slice(1000 * part, 1000 * (part + 1))
        write_columns(tmp_path / f"{part}.parquet", {"id": np.arange(4000)[rows], "x": x[rows]})
    given = cluster.data.read_parquet(str(tmp_path))
    made = activations(given, stored, "conv", column="x", batch_size=8, concurrency=2)
    assert made.context.target_max_block_size == 16 * 8 * (8 + 256)
    assert given.context.target_max_block_size >= MIB
    told = [
        found.metadata.num_rows
        for bundle in made.iter_internal_ref_bundles()
        for found in bundle.blocks
    ]
    assert len(told) > 10
    assert [row["id"] for row in made.select_columns(["id"]).take_all()] == list(range(4000))
