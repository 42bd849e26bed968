import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_pli.intervention import InterventionPlan, Shift
from keras_pli.retraining import pli_experiment


@pytest.fixture(scope="session")
def blobs():
    """Ninety points of three overlapping classes with six features, and as many held-out ones."""
    rng = np.random.default_rng(3)
    centres = 2 * rng.normal(size=(3, 6))
    labels = np.arange(180) % 3
    x = (centres[labels] + rng.normal(size=(180, 6))).astype(np.float32)
    return (x[:90], labels[:90]), (x[90:], labels[90:])


def dense_embedder(features=3, components=2, seed=5):
    """A map that knows neither its data nor its spread."""
    return keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(8, "tanh", kernel_initializer=keras.initializers.GlorotNormal(seed)),
            keras.layers.Dense(
                components, kernel_initializer=keras.initializers.GlorotNormal(seed + 1)
            ),
        ]
    )


@pytest.fixture(scope="session")
def embedder():
    return dense_embedder()


@pytest.fixture(scope="session")
def digits():
    """Small sets of scikit-learn's digits, to train on and held out."""
    found = load_digits()
    x = (found.data / 16).astype(np.float32)
    return (x[:300], found.target[:300]), (x[300:500], found.target[300:500])


def build_digits_classifier(seed=0, dropout=0.0):
    keras.utils.set_random_seed(seed)
    classifier = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(16, "relu", name="hidden"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    classifier.compile(optimizer, "sparse_categorical_crossentropy")
    return classifier


@pytest.fixture(scope="session")
def trained_digits(digits):
    """A classifier of the digits; tests must leave its weights as they are."""
    classifier = build_digits_classifier(dropout=0.2)
    classifier.fit(*digits[0], epochs=6, batch_size=20, verbose=0)
    return classifier


@pytest.fixture(scope="session")
def digits_embedder():
    return dense_embedder(features=10)


@pytest.fixture(scope="session")
def experiment(digits, trained_digits, digits_embedder):
    """An experiment of two seeds, with the weights each arm ended with, in the order they were told."""
    weights = {}

    def note(seed, arm, classifier):
        weights[seed, arm] = classifier.get_weights()

    result = pli_experiment(
        trained_digits,
        *digits,
        InterventionPlan([Shift(3, by=(1.0, 0.5)), Shift(8, by=(-1.0, 0.0), reason="Like a 3.")]),
        embedder=digits_embedder,
        embedding_weight=0.5,
        epochs=2,
        batch_size=64,
        seeds=[0, 5],
        class_names=[f"digit {label}" for label in range(10)],
        on_trained=note,
        verbose=0,
    )
    return result, weights
