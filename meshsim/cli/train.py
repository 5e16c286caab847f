"""`meshsim train`: from a training configuration to an artefact."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import options


@click.command("train")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.out("runs/train", "Folder for the artefact and the training record.")
@click.option(
    "--checkpoint",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep episodes and the state after each epoch here; a training that was cut off goes on from there.",
)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="That share each step.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="What computes.")
@click.option(
    "--tensorboard",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write each epoch into an event file here (extra `tracking`).",
)
@options.as_json
def command(
    config: Path,
    out: Path,
    checkpoint: Path | None,
    processes: int,
    device: str,
    tensorboard: Path | None,
    as_json: bool,
) -> None:
    """Train a route scorer as CONFIG says and export it to ONNX.

    With `kind: delays` in CONFIG it is the model of `meshsim evaluate --gnnet`, which takes none of the options but
    --out and --json.

    \b
    Example:
      meshsim train training.yaml --out runs/train --checkpoint runs/train-checkpoint
    """
    from meshsim.learn.external import is_delay_config

    if is_delay_config(config):
        if checkpoint or tensorboard or (processes, device) != (1, "cpu"):
            raise click.UsageError("a model of delays trains in a minute: it takes --out and --json alone")
        from meshsim.lab.delays import train_delays

        options.emit(train_delays(config, out=out, progress=not as_json), json_wanted=as_json)
        return
    from meshsim.lab.training import train
    from meshsim.learn.course import How

    how = How(device=device, processes=processes, checkpoint=checkpoint)
    result = train(config, out=out, progress=not as_json, how=how, tensorboard=tensorboard)
    answer = {
        "folder": result.folder,
        "calls": result.calls,
        "topologies": result.topologies,
        "parity": result.parity,
        "data_sha256": result.digests,
    }
    options.emit(answer, json_wanted=as_json)
