"""Sessions whose files are missing or damaged, disks that are full, openings that fail."""

import json
import shutil
import threading
from contextlib import contextmanager

import pytest
from tiny_studio import CLASSES, SHIFT, ask, error_of, linear, new_round

import keras_pli as kp
from keras_pli.studio import StudioData, StudioSession
from keras_pli.studio.session import first_round, rounds
from keras_pli.studio.session.folder import SessionFolder
from keras_pli.studio.view_source import view_version

resource = pytest.importorskip("resource")  # not on Windows


@contextmanager
def opened(data, folder, **how):
    made = StudioSession(data, folder, **how)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def full_disk(most=40):
    """No file can be longer, for the length of a block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def texts(folder):
    return {path: path.read_text() for path in folder.rglob("*.json")}


def cut(path):
    path.write_bytes(path.read_bytes()[:50])


def empty(path):
    path.write_text("{}")


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("round.json", cut, "is not JSON"),
        ("round.json", empty, "lacks 'number'"),
        ("round.json", lambda path: path.unlink(), "round.json is missing"),
        ("arrays.npz", lambda path: path.unlink(), "arrays.npz is missing"),
        ("classifier.keras", cut, "is damaged: it is cut, or no Keras file"),
        ("embedder.keras", lambda path: path.unlink(), "embedder.keras is missing"),
    ],
)
def test_a_damaged_round_gives_way_to_a_whole_one(data, two_rounds, name, damage, told):
    damage(two_rounds / "rounds" / "001" / name)
    with opened(data, two_rounds) as session:
        note = ask(session, "hello", version=view_version()).content["note"]
        assert note.startswith("Round 1 cannot be opened: ") and told in note
        assert note.endswith("Round 0 is shown instead.")
        assert len(session.plan) == 1 and session.round.number == 0


@pytest.mark.slow
def test_an_older_round_that_is_damaged_keeps_nothing_from_going_on(data, two_rounds):
    cut(two_rounds / "rounds" / "000" / "round.json")
    with opened(data, two_rounds) as session:
        content = ask(session, "hello", version=view_version()).content
        assert [note["number"] for note in content["rounds"]] == [1]
        assert "Round 0 is left out of the history" in content["note"]
        told = error_of(session, "go_to", round=0)
        assert told.startswith("Round 0 cannot be opened") and told.endswith("Round 1 stays open.")
        new_round(session)
        assert ask(session, "rounds").content["round"]["number"] == 2


def test_without_a_whole_round(data, folder):
    cut(folder / "rounds" / "000" / "embedder.keras")
    with pytest.raises(
        ValueError, match=r"No round of .* can be opened. .*embedder\.keras is damaged"
    ):
        StudioSession(data, folder)


def test_a_damaged_classifier_is_not_taken_into_a_new_round(session, tmp_path):
    with pytest.raises(ValueError, match=r"other\.keras is missing"):
        new_round(session, tmp_path / "other.keras")
    (tmp_path / "other.keras").write_text("cut")
    with pytest.raises(ValueError, match=r"other\.keras is damaged: it is cut"):
        new_round(session, tmp_path / "other.keras")
    assert session.folder.rounds() == [0]


def test_a_damaged_history_leaves_the_plan(data, two_rounds):
    with opened(data, two_rounds) as session:
        ask(session, "go_to", round=0)
    empty(two_rounds / "rounds" / "000" / "plan-history.json")
    with opened(data, two_rounds) as session:
        assert session.plan == kp.InterventionPlan([kp.Shift(1, by=(2, -1))])
        assert "plan-history.json cannot be read: The stored plan is damaged" in session.note
        assert "what was undone is lost" in session.note
        ask(session, "go_to", round=1)
        empty(two_rounds / "rounds" / "000" / "plan-history.json")
        assert "cannot be read" in ask(session, "go_to", round=0).content["note"]


@pytest.mark.parametrize("number", [7, "x", None])
def test_a_round_that_never_was(data, two_rounds, number):
    about = json.loads((two_rounds / "studio.json").read_text())
    (two_rounds / "studio.json").write_text(json.dumps({**about, "round": number}))
    with opened(data, two_rounds) as session:
        assert session.round.number == 1 and "Round 1 is shown instead" in session.note


def test_whose_session_it_is_must_be_known(data, folder, tmp_path):
    note = folder / "studio.json"
    about = json.loads(note.read_text())
    note.write_text(json.dumps({**about, "identity": None}))
    with pytest.raises(ValueError, match="does not say whose session"):
        StudioSession(data, folder)
    note.unlink()
    kept = texts(folder)
    with pytest.raises(ValueError, match=r"studio\.json is missing, while .*000 is there"):
        StudioSession(data, folder)
    assert texts(folder) == kept
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file is a file"):
        StudioSession(data, tmp_path / "file")


def test_a_first_opening_that_fails_leaves_the_folder_to_others(data, tmp_path):
    wide = linear(3, CLASSES, 2, "wide")
    with pytest.raises(ValueError, match="two components"):
        StudioSession(data, tmp_path / "run", embedder=wide)
    left = [path.name for path in (tmp_path / "run").rglob("*") if path.suffix != ".lock"]
    assert set(left) <= {"rounds"}


def test_what_a_killed_first_opening_leaves_is_nobody_elses(data, embedder, tmp_path, monkeypatch):
    def copy_and_fail(*arguments, **options):
        shutil.copytree(tmp_path / "run", tmp_path / "killed")
        raise ValueError("no round")

    monkeypatch.setattr(first_round.Round, "make", copy_and_fail)
    with pytest.raises(ValueError, match="no round"):
        StudioSession(data, tmp_path / "run", embedder=embedder)
    assert (tmp_path / "killed" / "embedder.keras").exists()
    with pytest.raises(ValueError, match="another classifier"):
        SessionFolder(tmp_path / "killed", {**data.identity(), "classifier": "other"})
    left = SessionFolder(tmp_path / "killed", data.identity())
    assert left.is_new
    left.close()


class TestFullDisk:
    def test_an_edit_is_not_made(self, session, folder):
        ask(session, "change", change=SHIFT)
        plan, revision, kept = session.plan, session.revision, texts(folder)
        with full_disk():
            told = error_of(session, "change", change=SHIFT), error_of(session, "undo")
        for each in told:
            assert "cannot be written: File too large" in each and str(folder) in each
        assert (session.plan, session.revision, texts(folder)) == (plan, revision, kept)
        ask(session, "undo")
        assert not len(session.plan)

    def test_of_several_files_none_is_written(self, session, folder):
        kept = texts(folder)
        files = {folder / "a.json": "short", folder / "b.json": "long" * 50}
        with full_disk(), pytest.raises(OSError, match="cannot be written"):
            session.folder.write(files, round=3)
        assert texts(folder) == kept and session.folder.current_round == 0

    def test_another_round_is_not_entered(self, data, two_rounds):
        with opened(data, two_rounds) as session:
            kept = texts(two_rounds)
            with full_disk():
                assert "cannot be written" in error_of(session, "go_to", round=0)
            assert (session.round.number, texts(two_rounds)) == (1, kept)
            assert session.editor.plan == session.plan == kp.InterventionPlan()


def test_a_round_is_prepared_without_the_lock_and_leaves_nothing_where_it_fails(
    session, folder, monkeypatch
):
    free = []

    def prepare(data, place, *arguments, **options):
        place.mkdir()
        asked = threading.Thread(target=lambda: free.append(session.lock.acquire(timeout=5)))
        asked.start()
        asked.join()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rounds.Round, "make", prepare)
    with pytest.raises(OSError, match="cannot be written: No space left"):
        new_round(session)
    assert free == [True] and not session.makes_round
    assert session.round.number == 0 and not (folder / "rounds" / "001").exists()


def test_class_names_are_kept(data, folder):
    test, (x, labels) = data.test, data.train
    unnamed = StudioData.of(data.classifier, x, labels, test=test)
    with opened(unnamed, folder) as session:
        assert session.data.class_names == ("a", "b", "c")
    others = StudioData.of(data.classifier, x, labels, test=test, class_names="abd")
    with pytest.warns(UserWarning, match="had other class names: 'a', 'b', 'c'"):
        StudioSession(others, folder).close()
    with opened(unnamed, folder) as session:
        assert session.class_name(2) == "d"
