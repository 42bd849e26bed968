"""Imports run one way, as CONTRIBUTING.md says: no room uses one above it, and no files use each other."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "keras_pli"
ROOT = "root files"
# What each room may use beside itself and the root files. Plotting uses no room, so that whatever a room
# returns may draw itself.
USES = {
    ROOT: set(),
    "plotting": set(),
    "synthetic": set(),
    "network": set(),
    "embedding": {"network"},
    "intervention": {"network", "plotting"},
    "retraining": {"network", "embedding", "intervention", "plotting"},
    "attribution": {"network", "plotting"},
    "evaluation": {"network", "attribution", "plotting", "synthetic"},
    "inspection": {"network", "attribution", "plotting", "synthetic"},
    "rationale": {"network", "attribution", "plotting", "synthetic"},
    "volume": {"network", "attribution", "evaluation", "inspection", "plotting", "synthetic"},
}
# These use everything.
TOP = {
    "serving",
    "studio",
    "distributed",
    "reporting",
    "callbacks",
    "commands",
    "cli",
    "demo",
    "__init__",
    "__main__",
}
# Of the engine, what runs on every Keras backend; embedding and retraining use no more of it.
WITHOUT_TENSORFLOW = {"layers", "recording", "kinds", "logits", "keras_graph", "activations"}
ON_ANY_BACKEND = {"embedding", "intervention", "retraining", "plotting"}


@cache
def modules():
    """Every file by its dotted name within the package."""
    return {
        ".".join(file.relative_to(PACKAGE).with_suffix("").parts): file
        for file in sorted(PACKAGE.rglob("*.py"))
    }


def room_of(name):
    first, *rest = name.split(".")
    return first if rest or first in TOP else ROOT


@cache
def imports(name):
    """The files of the package that a file imports anywhere, and the packages of others."""
    tree = ast.parse(modules()[name].read_text(encoding="utf-8"))
    known, inner, outer = modules(), set(), set()
    package = name.split(".")[:-1]
    for node in _at_run_time(tree):
        if isinstance(node, ast.Import):
            outer.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            outer.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                parts = [
                    [*base, alias.name],
                    [*base, alias.name, "__init__"],
                    base,
                    [*base, "__init__"],
                ]
                inner.add(next(name for name in map(".".join, parts) if name in known))
    return inner, outer


def _at_run_time(tree):
    """All nodes but those that only a type checker sees: a page may say what kind of result it shows."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            waiting.extend(ast.iter_child_nodes(node))


def files_of(room):
    return [name for name in modules() if room_of(name) == room]


def test_every_room_is_known():
    assert {room_of(name) for name in modules()} <= USES.keys() | TOP


# A room at a time: as many tests as there are files would take longer to hand out than to run.
@pytest.mark.parametrize("room", USES)
def test_no_room_uses_one_above_it(room):
    allowed = USES[room] | {room, ROOT}
    used = {(name, target) for name in files_of(room) for target in imports(name)[0]}
    assert used
    assert {(name, target) for name, target in used if room_of(target) not in allowed} == set()


@pytest.mark.parametrize("room", sorted(ON_ANY_BACKEND))
def test_rooms_for_any_backend_use_nothing_of_tensorflow(room):
    for name in files_of(room):
        inner, outer = imports(name)
        engine = {target.split(".")[1] for target in inner if room_of(target) == "network"}
        assert engine <= WITHOUT_TENSORFLOW, name
        assert "tensorflow" not in outer, name


@pytest.mark.parametrize("name", sorted(WITHOUT_TENSORFLOW))
def test_half_of_the_engine_does_without_tensorflow(name):
    inner, outer = imports(f"network.{name}")
    assert "tensorflow" not in outer
    used = {target.split(".")[1] for target in inner if room_of(target) == "network"}
    # On TensorFlow, and there alone, activations ask its graph for the logits.
    assert used - ({"unsquashed"} if name == "activations" else set()) <= WITHOUT_TENSORFLOW


def test_large_libraries_are_imported_where_they_are_used():
    large = {"pynndescent", "skimage"}
    assert not [name for name in modules() if imports(name)[1] & large]  # but `optional.imported`


def test_no_two_files_use_each_other():
    graph = {name: imports(name)[0] for name in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
