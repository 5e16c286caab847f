"""`meshsim train`: from a training configuration to an artefact."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import options


@click.command("train")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.out("runs/train", "Folder for the artefact and the training record.")
@options.as_json
def command(config: Path, out: Path, as_json: bool) -> None:
    """Train a route scorer as CONFIG says and export it to ONNX.

    With `kind: delays` in CONFIG it is the model of `meshsim evaluate --gnnet`.

    \b
    Example:
      meshsim train training.yaml --out runs/train
    """
    from meshsim.learn.external import is_delay_config

    if is_delay_config(config):
        from meshsim.lab.delays import train_delays

        options.emit(train_delays(config, out=out, progress=not as_json), json_wanted=as_json)
        return
    from meshsim.lab.training import train

    result = train(config, out=out, progress=not as_json)
    answer = {"folder": result.folder, "calls": result.calls, "topologies": result.topologies, "parity": result.parity}
    options.emit(answer, json_wanted=as_json)
