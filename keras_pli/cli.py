"""The command line: a thin skin over the public names.

Results go to standard output, progress and errors to standard error. Exit codes: 0 for success, 1 for an
error in data or files, 2 for wrong usage, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Report = Callable[[str], None]

DESCRIPTION = """\
Look at what a trained Keras classifier learned, edit the map, retrain, and see what that did.

The usual way through:

  keras-pli embed   --model clf.keras --data data.npz --out run     the map of the logits
  keras-pli suggest --model clf.keras --data data.npz --out run     a plan for confused classes
  keras-pli retrain --model clf.keras --data data.npz --out run     retrain by run/plan.json
  keras-pli report  --out run                                       tables and the page again

DATA.npz holds arrays x_train, y_train, x_test, y_test: inputs as the classifier takes them, labels as
integers. Without a test set, a fifth is held out. All results lie in the folder named by --out, each
written whole or not at all; `retrain` called again goes on where it was interrupted.
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
    except (ValueError, TypeError, OSError) as error:
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

    demo = commands.add_parser(
        "demo", help="all of it on scikit-learn's digits, in a minute or two"
    )
    _out(demo, "runs/demo")
    demo.add_argument("--seeds", type=int, default=3, help="paired seeds (default: %(default)s)")
    demo.set_defaults(run=_demo)

    embed = commands.add_parser("embed", help="train a parametric t-SNE on a layer, draw the map")
    _model_and_data(embed)
    _out(embed)
    embed.add_argument("--perplexity", type=float, default=50.0, help="default: %(default)s")
    embed.add_argument("--epochs", type=int, default=10, help="default: %(default)s")
    embed.add_argument("--batch-size", type=int, default=500, help="default: %(default)s")
    embed.add_argument(
        "--paper", action="store_true", help="the settings of Hinterreiter et al. (2020)"
    )
    embed.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    embed.set_defaults(run=_embed)

    suggest = commands.add_parser("suggest", help="propose a plan for the most confused classes")
    _model_and_data(suggest)
    _out(suggest)
    suggest.add_argument(
        "--pairs", type=int, default=2, help="confused pairs (default: %(default)s)"
    )
    suggest.add_argument("--plan", help="where to write it (default: OUT/plan.json)")
    suggest.set_defaults(run=_suggest)

    retrain = commands.add_parser("retrain", help="retrain by a plan, beside a matched control")
    _model_and_data(retrain)
    _out(retrain)
    retrain.add_argument("--plan", help="plan as JSON (default: OUT/plan.json)")
    _retraining_options(retrain)
    retrain.set_defaults(run=_retrain)

    report = commands.add_parser("report", help="tables and the page of a stored experiment")
    _out(report)
    report.add_argument("--data", help="the data again, to show images that changed")
    report.add_argument("--seed", type=int, help="seed whose maps are drawn (default: the first)")
    report.set_defaults(run=_report)
    return parser


def _model_and_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="the classifier, a .keras file")
    parser.add_argument("--data", required=True, help=".npz with x_train, y_train, x_test, y_test")
    parser.add_argument(
        "--layer",
        default="logits",
        help="name or path of the layer, such as backbone/conv3 (default: %(default)s, before any softmax)",
    )


def _out(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument(
        "--out", default=default, required=default is None, help="folder of results"
    )


def _retraining_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weight",
        type=float,
        default=0.1,
        help="λ, the embedding's share in the loss (default: %(default)s)",
    )
    parser.add_argument(
        "--moved-only", action="store_true", help="let only moved points count in it"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="the paper's plain squared distance, not by the map's spread",
    )
    parser.add_argument("--epochs", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=100, help="default: %(default)s")
    parser.add_argument(
        "--learning-rate", type=float, help="default: as the classifier was compiled"
    )
    parser.add_argument("--seed", type=int, default=0, help="first seed (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="paired seeds (default: %(default)s)")


def _demo(arguments: argparse.Namespace, report: Report) -> None:
    from .demo import prepare_digits

    out = Path(arguments.out)
    report("Training a classifier on digits of which 8 and 9 are rare …")
    model, data = prepare_digits(out)
    common = ["--model", str(model), "--data", str(data), "--out", str(out)]
    steps = [
        ["embed", *common, "--perplexity", "30"],
        ["suggest", *common],
        ["retrain", *common, "--weight", "0.1", "--seeds", str(arguments.seeds)],
    ]
    for step in steps:
        report(f"\n$ keras-pli {' '.join(step)}")
        chosen = _parser().parse_args(step)
        chosen.run(chosen, report)


def _embed(arguments: argparse.Namespace, report: Report) -> None:
    from . import ParametricTSNE, activations, plotting, quality
    from .files import atomic_path

    out = Path(arguments.out)
    classifier = _load_model(arguments.model)
    train, _ = _load_data(arguments.data, arguments)
    z = activations(classifier, train[0], arguments.layer)
    if arguments.paper:
        tsne = ParametricTSNE.paper(seed=arguments.seed)
    else:
        tsne = ParametricTSNE(perplexity=arguments.perplexity, seed=arguments.seed)
    tsne.fit(z, epochs=arguments.epochs, batch_size=arguments.batch_size)
    embedding = tsne.predict(z, batch_size=1024, verbose=0)
    with atomic_path(out / "embedder.keras") as temporary:
        tsne.save(temporary)
    _store_arrays(out / "embedding.npz", embedding=embedding, labels=train[1])
    plotting.save_figure(plotting.embedding_map(embedding, train[1]), out / "map.png")
    some = slice(0, 5000)
    trust = quality.trustworthiness(z[some], embedding[some])
    report(
        f"{len(z)} points, {z.shape[1]} features of {arguments.layer!r}; trustworthiness {trust:.3f}"
    )
    report(_written(out, "map.png", "embedding.npz", "embedder.keras"))


def _suggest(arguments: argparse.Namespace, report: Report) -> None:
    from . import plotting, suggest
    from .retraining import class_outputs

    out = Path(arguments.out)
    classifier = _load_model(arguments.model)
    (x, labels), _ = _load_data(arguments.data, arguments)
    embedding = _map_of(classifier, x, arguments)
    plan = suggest(class_outputs(classifier, x), labels, embedding, pairs=arguments.pairs)
    path = plan.save(arguments.plan or out / "plan.json")
    targets, _ = plan.apply(embedding, labels)
    figure = plotting.embedding_comparison({"Before": embedding, "Edited": targets}, labels)
    plotting.save_figure(figure, out / "plan.png")
    report(repr(plan))
    report(f"Wrote {path} and {out / 'plan.png'}. Edit the plan if you know better.")


def _retrain(arguments: argparse.Namespace, report: Report) -> None:
    import keras

    from . import InterventionPlan, pli_experiment
    from .files import atomic_path

    out = Path(arguments.out)
    classifier = _load_model(arguments.model)
    train, test = _load_data(arguments.data, arguments)
    plan = InterventionPlan.load(arguments.plan or out / "plan.json")
    optimizer = None
    if arguments.learning_rate is not None:
        optimizer = keras.optimizers.get(getattr(classifier, "optimizer", None) or "adam")
        optimizer = type(optimizer).from_config(
            {**optimizer.get_config(), "learning_rate": arguments.learning_rate}
        )

    def keep(seed: int, arm: str, trained: keras.Model) -> None:
        if seed == arguments.seed:
            with atomic_path(out / f"classifier-{arm.lower()}.keras") as temporary:
                trained.save(temporary)

    result = pli_experiment(
        classifier,
        train,
        test,
        plan,
        layer=arguments.layer,
        embedder=_load_embedder(out),
        embedding_weight=arguments.weight,
        moved_only=arguments.moved_only,
        scale=None if arguments.plain else "spread",
        loss=_loss_of(classifier),
        optimizer=optimizer,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        seeds=range(arguments.seed, arguments.seed + arguments.seeds),
        out=out / "experiment",
        on_trained=keep,
    )
    _report_result(result, out, report, images=test[0])
    report(_written(out, "classifier-pli.keras", "classifier-control.keras"))


def _report(arguments: argparse.Namespace, report: Report) -> None:
    from . import ExperimentResult

    out = Path(arguments.out)
    result = ExperimentResult.load(out / "experiment")
    images = None if arguments.data is None else _load_data(arguments.data, arguments)[1][0]
    _report_result(result, out, report, images=images, seed=arguments.seed)


def _report_result(
    result: Any, out: Path, report: Report, *, images: Any = None, seed: int | None = None
) -> None:
    from .files import write_text

    report(result.table().to_string())
    report("")
    report(result.verdict())
    write_text(out / "scores.csv", result.scores().to_csv(index=False))
    write_text(out / "response.csv", result.response().to_csv(index=False))
    result.to_html(out / "report.html", images=images, seed=seed)
    report(_written(out, "report.html", "scores.csv", "response.csv"))


def _written(out: Path, *names: str) -> str:
    return "Wrote " + ", ".join(str(out / name) for name in names) + "."


def _load_model(path: str) -> Any:
    import keras

    if not Path(path).is_file():
        raise ValueError(f"There is no model file {path}.")
    try:
        return keras.saving.load_model(path)
    except Exception as error:  # Keras raises half a dozen kinds for damaged or foreign files
        raise ValueError(f"{path} cannot be loaded as a Keras model: {error}") from error


def _load_embedder(out: Path) -> Any:
    path = out / "embedder.keras"
    if not path.exists():
        raise ValueError(f"There is no {path}; run `keras-pli embed` with the same --out first.")
    return _load_model(str(path))


def _map_of(classifier: Any, x: Any, arguments: argparse.Namespace) -> Any:
    from . import activations

    embedder = _load_embedder(Path(arguments.out))
    z = activations(classifier, x, arguments.layer)
    return embedder.predict(z, batch_size=1024, verbose=0)


def _load_data(path: str, arguments: argparse.Namespace) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    import numpy as np
    from sklearn.model_selection import train_test_split

    if not Path(path).is_file():
        raise ValueError(f"There is no data file {path}.")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
    except Exception as error:  # zipfile, pickle and numpy each have their own
        raise ValueError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error
    missing = {"x_train", "y_train"} - set(arrays)
    if missing:
        raise ValueError(
            f"{path} lacks {', '.join(sorted(missing))}. It holds {', '.join(sorted(arrays)) or 'nothing'}."
        )
    x, y = arrays["x_train"], arrays["y_train"]
    if "x_test" in arrays and "y_test" in arrays:
        return (x, y), (arrays["x_test"], arrays["y_test"])
    print(f"{path} has no test set; a fifth of the training set is held out.", file=sys.stderr)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    return (x, y), (x_test, y_test)


def _loss_of(classifier: Any) -> Any:
    import keras

    from .layers import ends_squashed

    if getattr(classifier, "loss", None) is not None:
        return None
    return keras.losses.SparseCategoricalCrossentropy(from_logits=not ends_squashed(classifier))


def _store_arrays(path: Path, **arrays: Any) -> None:
    import numpy as np

    from .files import atomic_path

    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


if __name__ == "__main__":
    sys.exit(main())
