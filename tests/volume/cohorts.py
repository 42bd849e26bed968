"""A small cohort with known truth in files, and a network small enough to train in a test."""

from functools import cache

import numpy as np

from keras_pli.synthetic import brain_phantoms
from keras_pli.volume import Preprocessing, volume_classifier

SHAPE = (16, 18, 16)
PREPARE = Preprocessing(skull_stripping="mask")
# For files of any orientation and voxel size.
GRID = Preprocessing(shape=SHAPE, voxel_size=10.0, center=(0, -18, 0), skull_stripping="mask")


@cache
def phantoms(count=12, strength=0.6):
    return brain_phantoms(count, shape=SHAPE, strength=strength)


def build(shape, classes, seed):
    return volume_classifier(shape, classes, filters=(2, 3), dropout=0.2, seed=seed)


def weights(network):
    return np.concatenate([np.ravel(weight) for weight in network.get_weights()])
