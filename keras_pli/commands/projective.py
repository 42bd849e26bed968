"""The commands of projective latent interventions: demo, retrain, report; embed and plans beside them."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import embedding, plans
from .data import load_data, load_test_inputs
from .files import (
    Report,
    add_model_and_data,
    add_out,
    check_classes,
    check_fits,
    load_classifier,
    load_embedder,
    load_model,
    load_plan,
    missing_loss,
    positive,
    weight_or_auto,
    whole,
    written,
)

if TYPE_CHECKING:
    import keras


def add_commands(commands: Any) -> None:
    """Adds the commands to the parser."""
    demo = commands.add_parser(
        "demo", help="all of it on scikit-learn's digits, in a minute or two"
    )
    add_out(demo, "runs/demo")
    demo.add_argument(
        "--seeds", type=whole(1), default=3, help="paired seeds (default: %(default)s)"
    )
    demo.set_defaults(run=_demo)

    embedding.add_command(commands)

    plans.add_commands(commands)

    retrain = commands.add_parser("retrain", help="retrain by a plan, beside a matched control")
    add_model_and_data(retrain)
    add_out(retrain)
    retrain.add_argument("--plan", help="plan as JSON (default: OUT/plan.json)")
    _retraining_options(retrain)
    retrain.set_defaults(run=_retrain)

    report = commands.add_parser("report", help="tables and the page of a stored experiment")
    add_out(report)
    report.add_argument("--data", help="the data again, to show images that changed")
    report.add_argument(
        "--seed", type=whole(0), help="seed whose maps are drawn (default: the first)"
    )
    report.set_defaults(run=_report)
    for parser in (demo, retrain, report):
        parser.set_defaults(backends=("tensorflow", "jax"))


def _retraining_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weight",
        type=weight_or_auto,
        default=0.1,
        help="λ, the embedding's share in the loss, or auto for the largest that does no harm "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--most-cost",
        type=float,
        default=0.01,
        help="accuracy that --weight auto may cost (default: %(default)s)",
    )
    parser.add_argument(
        "--moved-only", action="store_true", help="let only moved points count in it"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="the paper's plain squared distance, not by the map's spread",
    )
    parser.add_argument("--epochs", type=whole(1), default=7, help="default: %(default)s")
    parser.add_argument("--batch-size", type=whole(1), default=100, help="default: %(default)s")
    parser.add_argument(
        "--learning-rate", type=positive, help="default: as the classifier was compiled"
    )
    parser.add_argument(
        "--seed", type=whole(0), default=0, help="first seed (default: %(default)s)"
    )
    parser.add_argument(
        "--seeds", type=whole(1), default=3, help="paired seeds (default: %(default)s)"
    )


def _demo(arguments: argparse.Namespace, report: Report) -> None:
    from ..demo import prepare_digits

    out = Path(arguments.out)
    report("Training a classifier on digits of which 8 and 9 are rare …")
    model, data = prepare_digits(out)
    common = ["--model", str(model), "--data", str(data), "--out", str(out)]
    steps = [
        ["embed", *common, "--perplexity", "30", "--smooth"],
        ["suggest", *common],
        ["check-plan", *common, "--weight", "0.1"],
        ["retrain", *common, "--weight", "0.1", "--seeds", str(arguments.seeds)],
    ]
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    for step in steps:
        report(f"\n$ keras-pli {' '.join(step)}")
        chosen = parser.parse_args(step)
        chosen.run(chosen, report)
    report(f"\nOpen {out / 'report.html'}: the maps, the table and what they mean.")


def _retrain(arguments: argparse.Namespace, report: Report) -> None:
    import keras

    from .. import pli_experiment
    from ..files import atomic_path
    from ..retraining.experiment.seed_run import ARMS

    out = Path(arguments.out)
    classifier = load_classifier(arguments.model)
    train, test = load_data(arguments.data)
    for (x, labels), unlabelled in ((train, True), (test, False)):
        check_fits(classifier, x, arguments.model)
        check_classes(classifier, labels, arguments.model, unlabelled=unlabelled)
    plan = load_plan(Path(arguments.plan or out / "plan.json"))
    optimizer = None
    if arguments.learning_rate is not None:
        optimizer = keras.optimizers.get(getattr(classifier, "optimizer", None) or "adam")
        optimizer = type(optimizer).from_config(
            {**optimizer.get_config(), "learning_rate": arguments.learning_rate}
        )

    def kept(seed: int, arm: str) -> Path:
        return out / "experiment" / f"seed-{seed}-{arm.lower()}.keras"

    def keep(seed: int, arm: str, trained: keras.Model) -> None:
        if seed == arguments.seed:
            with atomic_path(kept(seed, arm)) as temporary:
                trained.save(temporary)

    result = pli_experiment(
        classifier,
        train,
        test,
        plan,
        layer=arguments.layer,
        embedder=load_embedder(out) if plan.needs_map else None,
        embedding_weight=arguments.weight,
        most_cost=arguments.most_cost,
        moved_only=arguments.moved_only,
        scale=None if arguments.plain else "spread",
        loss=missing_loss(classifier),
        optimizer=optimizer,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        seeds=range(arguments.seed, arguments.seed + arguments.seeds),
        out=out / "experiment",
        on_trained=keep,
    )
    _report_result(result, out, report, images=test[0])
    if not all(kept(arguments.seed, arm).exists() for arm in ARMS):
        report(
            f"The classifiers of seed {arguments.seed} were not kept: it ran as a later seed of another "
            "call. Use another --out to get them."
        )
        return
    for arm in ARMS:
        load_model(str(kept(arguments.seed, arm)))  # a damaged one is met here
        with atomic_path(out / f"classifier-{arm.lower()}.keras") as temporary:
            shutil.copyfile(kept(arguments.seed, arm), temporary)
    report(written(out, "classifier-pli.keras", "classifier-control.keras"))


def _report(arguments: argparse.Namespace, report: Report) -> None:
    from .. import ExperimentResult
    from ..parts import digest

    out = Path(arguments.out)
    result = ExperimentResult.load(out / "experiment")
    images = None if arguments.data is None else load_test_inputs(arguments.data)
    asked = result.identity.get("held-out inputs")
    if images is not None and asked not in (None, digest(images)):
        raise ValueError(f"{arguments.data} does not hold the held-out inputs of this experiment.")
    _report_result(result, out, report, images=images, seed=arguments.seed)


def _report_result(
    result: Any, out: Path, report: Report, *, images: Any = None, seed: int | None = None
) -> None:
    from ..files import write_text

    report(_table_text(result))
    report(result.verdict())
    report(f"\n{result.answer()}\n")
    write_text(out / "scores.csv", result.scores().to_csv(index=False))
    write_text(out / "response.csv", result.response().to_csv(index=False))
    result.to_html(out / "report.html", images=images, seed=seed)
    report(written(out, "report.html", "scores.csv", "response.csv"))


def _table_text(result: Any) -> str:
    """The table as a block for each metric with a line for each class, which many classes make no wider."""
    table = result.table()
    metrics = table.index.unique("metric")
    blocks = (table.loc[metric].T.rename_axis(index=None, columns=metric) for metric in metrics)
    return "".join(f"{block.to_string()}\n\n" for block in blocks)[:-1]
