import pytest


@pytest.fixture
def stepped(untraced):
    """Runs a test's trainings step by step, as they are shorter than a trace of them takes."""
    with untraced():
        yield
