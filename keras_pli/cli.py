"""The command line: a thin skin over the public names.

Results go to standard output, progress and errors to standard error. Exit codes: 0 for success, 1 for an
error in data or files, 2 for wrong usage, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from typing import Any

# None of these imports Keras or NumPy before a command runs, so that help is there at once.
from .commands import (
    attribution,
    inspection,
    projective,
    rationale,
    reporting,
    serving,
    studio,
    volume,
)
from .commands.backend import import_backend
from .commands.files import check_folder
from .version import __version__

DESCRIPTION = """\
See what a trained Keras classifier learned, correct it by hand, and show why it decides as it does.

Look at the map of a layer, edit it, retrain, and see what that did:

  keras-pli embed      --model clf.keras --data data.npz --out run  the map of the logits
  keras-pli suggest    --model clf.keras --data data.npz --out run  moves for confused classes
  keras-pli propose    --model clf.keras --data data.npz --out run  samples to weigh, relabel, exclude
  keras-pli check-plan --model clf.keras --data data.npz --out run  what run/plan.json will meet
  keras-pli retrain    --model clf.keras --data data.npz --out run  retrain by run/plan.json
  keras-pli report     --out run                                    tables and the page again

All of that by hand, on a map to take hold of in the browser:

  keras-pli studio     --model clf.keras --data data.npz --out run  or --demo, to try it

Show what decided, and whether the maps can be believed:

  keras-pli explain --model clf.keras --data data.npz --method grad_cam,saliency --out run
  keras-pli check   --model clf.keras --data data.npz --method grad_cam,saliency --out run

All of it about a classifier on one page:

  keras-pli report-model --model clf.keras --data data.npz --out run

Change images until the prediction is another:

  keras-pli rationale --generator g.keras --encoder e.keras --classifier c.keras --data data.npz --out run

Train on a cohort of brain images, and map what decided onto each of them:

  keras-pli volume train   --cohort cohort.csv --out run            cross-validated
  keras-pli volume explain --cohort cohort.csv --out run            NIfTI maps on the images
  keras-pli volume report  --out run                                a page, and pages of subjects

Serve predictions, the map and explanations:

  keras-pli export  --model clf.keras --method grad_cam --out models/clf
  keras-pli serve   --dir models                                    a local server, to try it

DATA.npz holds arrays x_train, y_train, x_test, y_test: inputs as the classifier takes them, labels as
integers. Without a test set, a fifth is held out. All results lie in the folder named by --out, each
written whole or not at all; `retrain`, `explain` and `rationale` can be resumed when they
were interrupted.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    arguments = _parser().parse_args(argv)
    arguments.check(arguments)
    stdout, progress = sys.stdout, _Progress(sys.stderr)
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show a sign shows another
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")

    def report(text: str) -> None:
        progress.end_line()
        print(text, file=stdout, flush=True)

    try:
        with redirect_stdout(progress):
            if "out" in arguments:
                check_folder(arguments.out)
            import_backend(arguments.backends)
            with _only_writer(arguments):
                arguments.run(arguments, report)
    except KeyboardInterrupt:
        progress.end_line()
        print("keras-pli: interrupted; what was finished is kept.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # who read the results, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # TensorFlow's own, too, which cannot be named without importing it
        progress.end_line()
        known = isinstance(error, ValueError | TypeError | OSError | ImportError | RuntimeError)
        kind = "" if known else f"{type(error).__name__}: "
        print(f"keras-pli: error: {kind}{_brief(error)}", file=sys.stderr)
        return 1
    progress.end_line()
    return 0


def _only_writer(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """Keeps another command from mixing its results with this one's in a folder."""
    if not arguments.locks_out or "out" not in arguments:
        return nullcontext()
    from .locks import one_writer

    return one_writer(arguments.out, "command")


def _brief(error: Exception) -> str:
    """What an error says, without the lines in which TensorFlow repeats where it was."""
    return str(error).partition("\n\nArguments received by")[0].partition("\n\nStack trace")[0]


class _Progress:
    """Standard error, where Keras draws its bars; it knows whether one of them left its line unfinished."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._within_line = stream, False

    def write(self, text: str) -> int:
        if text:
            self._within_line = not text.endswith("\n")
        return int(self._stream.write(text))

    def end_line(self) -> None:
        """Begins a new line if a bar left one unfinished."""
        if self._within_line:
            self.write("\n")
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-pli",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"keras-pli {__version__}")
    # What a command checks of its options together, since argparse knows each by itself.
    parser.set_defaults(backends=("tensorflow",), locks_out=True, check=lambda _: None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for family in (
        projective,
        studio,
        attribution,
        inspection,
        rationale,
        reporting,
        volume,
        serving,
    ):
        family.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
