"""`meshsim tune`: a search for a better training configuration."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import options


@click.command("tune")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--study",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/study"),
    show_default=True,
    help="Folder of the study and its episodes; a study that was cut off goes on.",
)
@click.option(
    "--trials", type=click.IntRange(min=1), default=30, show_default=True, help="How many, those before among them."
)
@click.option(
    "--best",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the best configuration here, for `meshsim train`.",
)
@options.as_json
def command(config: Path, study: Path, trials: int, best: Path | None, as_json: bool) -> None:
    """Search for how a route scorer is best fitted to the episodes of CONFIG (extra `tune`).

    The episodes under `report` are left out of it: what they say of the result stays worth something.

    \b
    Example:
      meshsim tune training.yaml --study runs/study --trials 2 --best best.yaml
    """
    from meshsim.lab.tuning import tune

    found = tune(config, study, trials=trials, progress=not as_json)
    if best is not None:
        from ruamel.yaml import YAML

        with best.open("w", encoding="utf-8") as file:
            YAML().dump(found.configuration, file)
    answer = {
        "best": {"model": found.configuration["model"], "optimisation": found.configuration["optimisation"]},
        "forgone": found.forgone,
        "as_it_was": found.usual,
        "trials": found.trials,
        "pruned": found.pruned,
    }
    options.emit(answer, json_wanted=as_json)
