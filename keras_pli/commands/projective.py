"""The commands of projective latent interventions: demo, suggest, retrain, report, and embed beside them."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import embedding
from .data import load_data, load_test_inputs, load_training_set
from .files import (
    Report,
    add_model_and_data,
    add_out,
    check_classes,
    check_fits,
    load_classifier,
    load_model,
    loss_for,
    positive,
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

    suggest = commands.add_parser("suggest", help="propose a plan for the most confused classes")
    add_model_and_data(suggest)
    add_out(suggest)
    suggest.add_argument(
        "--pairs", type=whole(1), default=2, help="confused pairs (default: %(default)s)"
    )
    suggest.add_argument("--plan", help="where to write it (default: OUT/plan.json)")
    suggest.set_defaults(run=_suggest)

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
    for parser in (demo, suggest, retrain, report):
        parser.set_defaults(backends=("tensorflow", "jax"))


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
        ["retrain", *common, "--weight", "0.1", "--seeds", str(arguments.seeds)],
    ]
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    for step in steps:
        report(f"\n$ keras-pli {' '.join(step)}")
        chosen = parser.parse_args(step)
        chosen.run(chosen, report)
    report(f"\nOpen {out / 'report.html'}: the maps, the table and what they mean.")


def _suggest(arguments: argparse.Namespace, report: Report) -> None:
    from .. import plotting, suggest
    from ..retraining import class_outputs

    out = Path(arguments.out)
    classifier = load_classifier(arguments.model)
    x, labels = load_training_set(arguments.data)
    check_fits(classifier, x, arguments.model)
    check_classes(classifier, labels, arguments.model)
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

    from .. import InterventionPlan, pli_experiment
    from ..files import atomic_path
    from ..retraining.seed_run import ARMS

    out = Path(arguments.out)
    classifier = load_classifier(arguments.model)
    train, test = load_data(arguments.data)
    for x, labels in (train, test):
        check_fits(classifier, x, arguments.model)
        check_classes(classifier, labels, arguments.model)
    plan = InterventionPlan.load(arguments.plan or out / "plan.json")
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
        embedder=_load_embedder(out),
        embedding_weight=arguments.weight,
        moved_only=arguments.moved_only,
        scale=None if arguments.plain else "spread",
        loss=_missing_loss(classifier),
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


def _load_embedder(out: Path) -> Any:
    path = out / "embedder.keras"
    if not path.exists():
        raise ValueError(f"There is no {path}; run `keras-pli embed` with the same --out first.")
    return load_model(str(path))


def _map_of(classifier: Any, x: Any, arguments: argparse.Namespace) -> Any:
    from .. import activations

    embedder = _load_embedder(Path(arguments.out))
    z = activations(classifier, x, arguments.layer)
    return embedder.predict(z, batch_size=1024, verbose=0)


def _missing_loss(classifier: Any) -> Any:
    """A loss for a classifier that was not compiled; None where it has its own."""
    return None if getattr(classifier, "loss", None) is not None else loss_for(classifier)
