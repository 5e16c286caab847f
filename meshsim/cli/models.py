"""`meshsim models`: the trained scorers at hand."""

from __future__ import annotations

import click

from meshsim.cli import names, options


@click.group("models")
def command() -> None:
    """List, describe and verify trained scorers.

    \b
    Example:
      meshsim models list
      meshsim models verify route-scorer
    """


@command.command("list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the scorers found in the package and in models/.

    \b
    Example:
      meshsim models list --json
    """
    from meshsim.routing.artefact import list_models

    names = list_models()
    options.emit({"models": names}, json_wanted=True) if as_json else click.echo("\n".join(names))


@command.command()
@click.argument("model", shell_complete=names.models)
def card(model: str) -> None:
    """Print the card of MODEL: data, graphs, goals, limits.

    \b
    Example:
      meshsim models card route-scorer
    """
    from meshsim.routing.artefact import card_text

    click.echo(card_text(model))


@command.command()
@click.argument("model", shell_complete=names.models)
@options.as_json
def verify(model: str, as_json: bool) -> None:
    """Hold MODEL's files to the checksums of its manifest; exit code 2 when one differs.

    \b
    Example:
      meshsim models verify route-scorer
    """
    from meshsim.routing.artefact import verify_model

    verify_model(model)
    options.emit({"model": model, "verified": True}, json_wanted=as_json)
