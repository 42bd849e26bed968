"""Cases that are tested at every run, and the like ones that are slow together."""

import pytest


def some(cases, *kept):
    """All cases, of which those that are not kept run with the slow tests."""
    marks = pytest.mark.slow
    return [case if case in kept else pytest.param(case, marks=marks) for case in cases]


def all_but(cases, *slow):
    """All cases, of which the slow ones run with the slow tests."""
    return some(cases, *(case for case in cases if case not in slow))
