"""The commands that make plans and try them before training: suggest, propose, check-plan."""

from __future__ import annotations

import argparse
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data import load_data, load_training_set
from .files import (
    Report,
    add_model_and_data,
    add_out,
    check_classes,
    check_fits,
    load_classifier,
    load_embedder,
    load_plan,
    missing_loss,
    whole,
    written,
)

if TYPE_CHECKING:
    from .. import InterventionPlan


def add_commands(commands: Any) -> None:
    """Adds the commands to the parser."""
    suggest = commands.add_parser("suggest", help="propose moves for the most confused classes")
    _common(suggest, _suggest)
    suggest.add_argument(
        "--pairs", type=whole(1), default=2, help="confused pairs (default: %(default)s)"
    )

    propose = commands.add_parser(
        "propose",
        help="propose to weigh, relabel or exclude samples that the layer speaks for",
        description="Propose to weigh, relabel or exclude samples that a layer speaks for. The layer before "
        "the logits, named by --layer, serves best; look at OUT/proposals.png before you --pick.",
    )
    _common(propose, _propose)
    propose.add_argument(
        "--pick", help="numbers of proposals, such as 1,3, to add to the plan; without, none is"
    )
    propose.add_argument(
        "--seed", type=whole(0), default=0, help="of the samples clustered (default: %(default)s)"
    )

    check = commands.add_parser(
        "check-plan", help="say before training what the moves of a plan will meet"
    )
    _common(check, _check)
    check.add_argument(
        "--weight",
        type=float,
        default=0.1,
        help="λ, as it shall be in `retrain` (default: %(default)s)",
    )
    check.add_argument(
        "--samples",
        type=whole(1),
        default=2000,
        help="samples that are trained on for a try (default: %(default)s)",
    )
    check.add_argument(
        "--map-only", action="store_true", help="look at the map alone, without trying the plan"
    )
    check.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")


def _common(parser: argparse.ArgumentParser, run: Any) -> None:
    add_model_and_data(parser)
    add_out(parser)
    parser.add_argument("--plan", help="the plan's file (default: OUT/plan.json)")
    parser.set_defaults(run=run, backends=("tensorflow", "jax"))


def _suggest(arguments: argparse.Namespace, report: Report) -> None:
    from .. import suggest
    from ..plotting import save_figure
    from ..retraining import class_outputs

    classifier, x, labels = _classifier_and_training_set(arguments)
    embedding = _map_of(classifier, x, arguments)
    plan = suggest(class_outputs(classifier, x), labels, embedding, pairs=arguments.pairs)
    path = _plan_file(arguments)
    if path.exists():
        plan = _beside_what_is_there(plan, path, report)
    plan.save(path)
    picture = Path(arguments.out) / "plan.png"
    save_figure(plan.plot(embedding, labels), picture)
    report(repr(plan))
    report(f"Wrote {path} and {picture}. Edit the plan if you know better.")


def _beside_what_is_there(plan: InterventionPlan, path: Path, report: Report) -> InterventionPlan:
    """Suggested moves with the changes of the data of an older plan, which is kept beside the new one."""
    from .. import InterventionPlan

    older = InterventionPlan.load(path)
    both = InterventionPlan([*older.data_changes, *plan])
    if both != older:
        names = (path.with_name(f"{path.stem}-before-{n}{path.suffix}") for n in count(1))
        kept = older.save(next(name for name in names if not name.exists()))
        report(f"The plan that was there is in {kept}; its changes of the data are taken over.")
    return both


def _propose(arguments: argparse.Namespace, report: Report) -> None:
    from .. import activations, propose
    from ..plotting import save_figure
    from ..retraining import class_outputs

    out = Path(arguments.out)
    picked = None if arguments.pick is None else _numbers(arguments.pick)
    classifier, x, labels = _classifier_and_training_set(arguments)
    test = load_data(arguments.data)[1][0]
    z, outputs = activations(classifier, x, arguments.layer), class_outputs(classifier, x)
    found = propose(z, labels, outputs, test=test, inputs=x, seed=arguments.seed)
    report(repr(found))
    if not len(found):
        return
    report(f"Wrote {found.plan().save(out / 'proposals.json')}, a plan of all of them.")
    if x.ndim in (3, 4):
        save_figure(found.plot(x, test_images=test), out / "proposals.png")
        report(written(out, "proposals.png"))
    if picked is not None:
        _add_picked(found.pick(*picked), arguments, report)


def _add_picked(chosen: Any, arguments: argparse.Namespace, report: Report) -> None:
    """Adds proposals to the plan that is there; what it has already is not made twice.

    They stand before the moves, so that a sample is moved as what it is, not as what it was taken for.
    """
    from .. import InterventionPlan

    path = _plan_file(arguments)
    plan = InterventionPlan.load(path) if path.exists() else InterventionPlan()
    new = [change for change in chosen.plan() if change not in plan.changes]
    plan = InterventionPlan([*plan.data_changes, *new, *plan.moves])
    plan.save(path)
    report(f"Added {len(new)} of {len(chosen)} to {path}, which now is:\n{plan!r}")


def _numbers(text: str) -> list[int]:
    """The numbers that a text names, with commas between; proposals are numbered from 1."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--pick takes numbers of proposals, such as 1,3. Received: {text!r}."
        ) from None


def _check(arguments: argparse.Namespace, report: Report) -> None:
    from ..files import write_text
    from ..plotting import save_figure

    out = Path(arguments.out)
    plan = load_plan(_plan_file(arguments))
    if not plan.moves:
        raise ValueError(
            "There is nothing to check: the plan moves nothing, and what changes of the data do only "
            f"`keras-pli retrain` tells. Received: {plan!r}"
        )
    classifier, x, labels = _classifier_and_training_set(arguments)
    embedding = _map_of(classifier, x, arguments)
    tried = {} if arguments.map_only else {"model": _compiled(classifier, arguments), "x": x}
    check = plan.check(embedding, labels, samples=arguments.samples, seed=arguments.seed, **tried)
    report(str(check))
    save_figure(check.plot(), out / "plan-check.png")
    write_text(out / "plan-check.csv", check.table().to_csv())
    report(written(out, "plan-check.png", "plan-check.csv"))


def _compiled(classifier: Any, arguments: argparse.Namespace) -> Any:
    """The classifier with its map, as `retrain` would train it."""
    from .. import PLILoss, PLIModel
    from ..retraining.starting_point import fresh_optimizer

    loss = missing_loss(classifier)
    model = PLIModel(classifier, load_embedder(Path(arguments.out)), arguments.layer)
    model.compile(
        fresh_optimizer(None, classifier),
        PLILoss(classifier.loss if loss is None else loss, arguments.weight),
    )
    return model


def _classifier_and_training_set(arguments: argparse.Namespace) -> tuple[Any, Any, Any]:
    classifier = load_classifier(arguments.model)
    x, labels = load_training_set(arguments.data)
    check_fits(classifier, x, arguments.model)
    check_classes(classifier, labels, arguments.model, unlabelled=True)
    return classifier, x, labels


def _plan_file(arguments: argparse.Namespace) -> Path:
    return Path(arguments.plan or Path(arguments.out) / "plan.json")


def _map_of(classifier: Any, x: Any, arguments: argparse.Namespace) -> Any:
    from .. import activations

    embedder = load_embedder(Path(arguments.out))
    z = activations(classifier, x, arguments.layer)
    return embedder.predict(z, batch_size=1024, verbose=0)
