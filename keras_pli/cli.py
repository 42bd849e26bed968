"""The command line: a thin skin over the public names.

Results go to standard output, progress and errors to standard error. Exit codes: 0 for success, 1 for an
error in data or files, 2 for wrong usage, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

from .commands import attribution, projective, rationale, serving

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

DESCRIPTION = """\
See what a trained Keras classifier learned, correct it by hand, and show why it decides as it does.

Look at the map of a layer, edit it, retrain, and see what that did:

  keras-pli embed   --model clf.keras --data data.npz --out run     the map of the logits
  keras-pli suggest --model clf.keras --data data.npz --out run     a plan for confused classes
  keras-pli retrain --model clf.keras --data data.npz --out run     retrain by run/plan.json
  keras-pli report  --out run                                       tables and the page again

Show what decided, and whether the maps can be believed:

  keras-pli explain --model clf.keras --data data.npz --method grad_cam,saliency --out run
  keras-pli check   --model clf.keras --data data.npz --method grad_cam,saliency --out run

Change images until the prediction is another:

  keras-pli rationale --generator g.keras --encoder e.keras --classifier c.keras --data data.npz --out run

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
    stdout = sys.stdout

    def report(text: str) -> None:
        print(text, file=stdout, flush=True)

    # TensorFlow warns on standard error that each new model is traced anew, which is as it should be.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        with redirect_stdout(sys.stderr):  # where Keras draws its progress
            arguments.run(arguments, report)
    except KeyboardInterrupt:
        print("keras-pli: interrupted; what was finished is kept.", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"keras-pli: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-pli",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    for family in (projective, attribution, rationale, serving):
        family.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
