"""A studio for all tests, and a browser for each file of them.

A browser lives no longer than a file: while Playwright runs, the process can run no other event loop.
"""

import keras
import numpy as np
import pytest
from installed_chromium import VARIABLE, arguments, find_chromium
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from studio_page import SECONDS, StudioPage

from keras_pli.studio import StudioData, StudioSession
from keras_pli.studio.server import StudioServer

TRAIN, TEST = 200, 100


@pytest.fixture(scope="session")
def chromium():
    """The path of an installed Chromium; tests without one are skipped before they make anything."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = find_chromium()
    if path is None:
        pytest.skip(f"no Chromium is installed; {VARIABLE} names one that is elsewhere")
    return path


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def digits():
    """Small sets of scikit-learn's digits as images, to train on and held out."""
    found = load_digits()
    x = (found.images / 16).astype(np.float32)[..., None]
    train, test = slice(TRAIN), slice(TRAIN, TRAIN + TEST)
    return (x[train], found.target[train]), (x[test], found.target[test])


@pytest.fixture(scope="session")
def classifier(chromium, digits):
    """A classifier of the digits that is right in most cases; tests must leave its weights as they are."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(*digits[0], epochs=6, batch_size=20, verbose=0)
    return model


@pytest.fixture(scope="session")
def embedder(classifier, digits):
    """The first two principal components of the logits, as a network."""
    logits = keras.Model(classifier.inputs, classifier.layers[-1].input)
    logits = logits.predict_on_batch(digits[0][0]) @ classifier.layers[-1].kernel.numpy()
    components = PCA(2).fit(logits).components_.T
    dense = keras.layers.Dense(2, use_bias=False)
    network = keras.Sequential([keras.Input((10,)), dense])
    dense.set_weights([components.astype(np.float32)])
    return network


@pytest.fixture(scope="session")
def session(classifier, digits, embedder, tmp_path_factory):
    """A studio of the digits; after each test it is in its first round, with an empty plan."""
    (x, labels), test = digits
    names = [f"digit {number}" for number in range(10)]
    data = StudioData.of(classifier, x, labels, test=test, class_names=names)
    session = StudioSession(data, tmp_path_factory.mktemp("studio"), embedder=embedder)
    yield session
    session.close()


@pytest.fixture(scope="session")
def server(session):
    with StudioServer(session, port=0) as server:
        yield server


@pytest.fixture
def new_page(browser, server, session):
    """Opens pages of the studio; a fault in any of them fails the test."""
    contexts, pages = [], []

    def open_page(*, width=1280, height=800, scheme="light", reduced=True):
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce" if reduced else "no-preference",
        )
        context.set_default_timeout(1000 * SECONDS)
        contexts.append(context)
        page = StudioPage(context.new_page(), session).open(server.url)
        pages.append(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    if session.round.number != 0:
        session.go_to(0)
    session.edit(lambda editor: editor.set(()))
    assert [page.faults for page in pages] == [[] for _ in pages]


@pytest.fixture
def page(new_page):
    return new_page()
