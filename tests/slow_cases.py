"""Cases of a test of which some run by default, and the others with the slow tests."""

from functools import partial

import pytest

slow = partial(pytest.param, marks=pytest.mark.slow)


def by_default(*kept, of):
    """All cases, of which those kept run by default; a tuple holds the values of several arguments."""
    return [
        case if case in kept else slow(*case) if isinstance(case, tuple) else slow(case)
        for case in of
    ]


def all_but(*rare, of):
    """All cases, of which those that are not rare run by default."""
    return by_default(*(case for case in of if case not in rare), of=of)
