"""The commands of serving: export and serve."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data import load_samples
from .files import Report, add_out, kinds_named, load_classifier, load_model, whole

if TYPE_CHECKING:
    import keras

    from ..attribution import Method


def add_commands(commands: Any) -> None:
    """Adds the commands to the parser."""
    export = commands.add_parser(
        "export", help="predictions and explanations for TensorFlow Serving"
    )
    export.add_argument("--model", required=True, help="the classifier, a .keras file")
    export.add_argument(
        "--method",
        help="explanations, with commas between: grad_cam, integrated_gradients, … (default: none)",
    )
    export.add_argument(
        "--cam-layer", help="of class activation maps: the layer that makes the maps"
    )
    export.add_argument("--embedder", help="a map trained by `embed`, a .keras file")
    export.add_argument("--layer", help="the layer that the embedder maps (default: logits)")
    export.add_argument("--output", help="name of the classifying output, where there are several")
    export.add_argument("--class-names", help="names of the classes, with commas between")
    export.add_argument("--data", help=".npz with examples, x_test or x, to compare and warm up on")
    export.add_argument("--version", type=int, help="number of the version (default: the next one)")
    export.add_argument("--xla", action="store_true", help="add twins that XLA compiles")
    export.add_argument(
        "--no-checks", action="store_true", help="let NaN and classes that do not exist pass"
    )
    add_out(export)
    export.set_defaults(run=_export, locks_out=False)  # versions are numbered

    serve = commands.add_parser(
        "serve", help="a local server that speaks TensorFlow Serving's APIs"
    )
    serve.add_argument(
        "--dir", required=True, help="folder of models, or of the versions of one model"
    )
    serve.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    serve.add_argument(
        "--rest-port", type=int, default=8501, help="0 for a free one (default: %(default)s)"
    )
    serve.add_argument(
        "--grpc-port", type=int, default=8500, help="0 for a free one (default: %(default)s)"
    )
    serve.add_argument(
        "--max-request-mb",
        type=whole(1),
        default=64,
        help="larger requests are refused (default: 64)",
    )
    serve.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name or address that requests may be sent to, beside --host, localhost, 127.0.0.1 and ::1; "
        "others are refused, since a web page could have a name of its own point here and read the models; "
        "may be repeated, and * allows all",
    )
    serve.add_argument(
        "--receive-seconds",
        type=float,
        default=60.0,
        help="time for the body of a request to arrive (default: %(default)g)",
    )
    serve.add_argument(
        "--grace-seconds",
        type=float,
        default=5.0,
        help="time that requests have to end after Ctrl-C (default: %(default)g)",
    )
    serve.set_defaults(run=_serve, locks_out=False)


def _export(arguments: argparse.Namespace, report: Report) -> None:
    from ..attribution import ClassActivationMap
    from ..serving import export

    model = load_classifier(arguments.model)
    names = arguments.class_names.split(",") if arguments.class_names else None
    options = {"output": arguments.output}

    def made(kind: type[Method], model: keras.Model) -> Method:
        layer = {"layer": arguments.cam_layer} if issubclass(kind, ClassActivationMap) else {}
        return kind(model, **options, **layer)

    kinds = kinds_named(arguments.method) if arguments.method else {}
    version = export(
        model,
        arguments.out,
        explanations={name: partial(made, kind) for name, kind in kinds.items()},
        embedder=load_model(arguments.embedder) if arguments.embedder else None,
        layer=arguments.layer,
        class_names=names,
        version=arguments.version,
        examples=load_samples(arguments.data)[0][:32] if arguments.data else None,
        checks=not arguments.no_checks,
        xla=arguments.xla,
        **options,
    )
    report(f"Wrote {version}.")
    report(f"Try it: keras-pli serve --dir {Path(arguments.out)}")


def _serve(arguments: argparse.Namespace, report: Report) -> None:
    from ..serving.server import serve

    ended = serve(
        arguments.dir,
        host=arguments.host,
        rest_port=arguments.rest_port,
        grpc_port=arguments.grpc_port,
        max_request_bytes=arguments.max_request_mb * 2**20,
        allowed_hosts=arguments.allowed_host,
        receive_seconds=arguments.receive_seconds,
        grace_seconds=arguments.grace_seconds,
    )
    if not ended:
        end_process()


def end_process() -> None:
    """Ends the process at once: a thread within TensorFlow cannot be interrupted.

    The interpreter may not end while it runs.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(0)
