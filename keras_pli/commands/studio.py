"""The command of the studio, the interactive map."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..studio.opening import OUT
from .data import load_data
from .files import (
    Report,
    add_out,
    check_classes,
    check_fits,
    load_classifier,
    load_model,
    whole,
)
from .serving import end_process

if TYPE_CHECKING:
    from ..studio import StudioSession


def add_commands(commands: Any) -> None:
    """Adds the command to the parser."""
    studio = commands.add_parser(
        "studio",
        help="the interactive map: look, move, retrain, compare, in the browser",
        description="Serves the interactive map of a layer to a browser on this machine until Ctrl-C. All "
        "that is done there is kept in --out, and is there again the next time. A map that `embed` left "
        "in --out is taken; where there is none, one is trained first.",
    )
    studio.add_argument("--model", help="the classifier, a .keras file")
    studio.add_argument("--data", help=".npz with x_train, y_train, x_test, y_test")
    studio.add_argument(
        "--demo", action="store_true", help="scikit-learn's digits and a classifier of them instead"
    )
    studio.add_argument(
        "--layer",
        default="logits",
        help="name or path of the layer, such as backbone/conv3 (default: %(default)s, before any softmax)",
    )
    studio.add_argument(
        "--embedder", help="a trained map of the layer, a .keras file (default: OUT/embedder.keras)"
    )
    studio.add_argument("--class-names", help="names of the classes, with commas between")
    studio.add_argument(
        "--generator", help="with --encoder, for rationales: from codes to images, a .keras file"
    )
    studio.add_argument("--encoder", help="from images to codes, a .keras file")
    add_out(studio, OUT)
    studio.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    studio.add_argument(
        "--port", type=port, default=0, help="0 for a free one (default: %(default)s)"
    )
    studio.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name or address that a proxy may send requests to, beside --host and this machine's own; "
        "may be repeated, and * allows all",
    )
    studio.add_argument(
        "--no-browser", action="store_true", help="print the address, and open no browser"
    )
    studio.add_argument(
        "--seed", type=whole(0), default=0, help="of the map's training (default: %(default)s)"
    )
    studio.set_defaults(run=_studio, check=partial(_check_options, studio))


def port(text: str) -> int:
    """Makes the number of a port of an argument."""
    number = whole(0)(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"must lie in 0 to 65535. Received: {text!r}.")
    return number


def _check_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.demo and (arguments.model or arguments.data):
        parser.error("--demo brings its own classifier and data: leave out --model and --data")
    missing = [name for name in ("model", "data") if not getattr(arguments, name)]
    if missing and not arguments.demo:
        listed = ", ".join(f"--{name}" for name in missing)
        parser.error(f"the following arguments are required: {listed} (or --demo)")
    if bool(arguments.generator) != bool(arguments.encoder):
        parser.error("rationales take both --generator and --encoder")


def _studio(arguments: argparse.Namespace, report: Report) -> None:
    from ..studio.server import check_libraries, check_listening, serve

    check_libraries()  # before a map is trained
    check_listening(arguments.host, arguments.port)
    session = _session(arguments, report)
    ended = serve(
        session,
        host=arguments.host,
        port=arguments.port,
        allowed_hosts=arguments.allowed_host,
        open_browser=not arguments.no_browser,
    )
    if not ended:
        end_process()


def _session(arguments: argparse.Namespace, report: Report) -> StudioSession:
    from ..studio import StudioData, StudioSession

    model, data = _sources(arguments, report)
    classifier = load_classifier(model)
    train, test = load_data(data)
    for (x, labels), unlabelled in ((train, True), (test, False)):
        check_fits(classifier, x, model)
        check_classes(classifier, labels, model, unlabelled=unlabelled)
    given = StudioData.of(
        classifier,
        *train,
        test=test,
        layer=arguments.layer,
        class_names=_names(arguments.class_names),
        rationale=_rationale(arguments, classifier),
    )
    embedder = None if arguments.embedder is None else load_model(arguments.embedder)
    return StudioSession(
        given, arguments.out, embedder=embedder, seed=arguments.seed, verbose="auto"
    )


def _sources(arguments: argparse.Namespace, report: Report) -> tuple[str, str]:
    """The files of the classifier and of the data; those of the demo are made once."""
    if not arguments.demo:
        return arguments.model, arguments.data
    from ..demo import CLASSIFIER, DATA, prepare_digits

    out = Path(arguments.out)
    if not ((out / CLASSIFIER).exists() and (out / DATA).exists()):
        report("Training a classifier on digits of which 8 and 9 are rare …")
        prepare_digits(out)
    return str(out / CLASSIFIER), str(out / DATA)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",")]


def _rationale(arguments: argparse.Namespace, classifier: Any) -> Any:
    """What explains single samples by changing them, where the networks for it are given."""
    if not arguments.generator:
        return None
    from ..rationale import RationaleGenerator

    networks = load_model(arguments.generator), load_model(arguments.encoder)
    return RationaleGenerator(*networks, classifier)
