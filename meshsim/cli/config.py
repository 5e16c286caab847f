"""`meshsim config`: scenarios as files."""

from __future__ import annotations

import json

import click

from meshsim.cli import names, options

_SCENARIO = click.argument("scenario", shell_complete=names.scenarios)
_OVERRIDES = click.option(
    "-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one key; may be repeated."
)


@click.group("config")
def command() -> None:
    """Print the scenario schema, check a scenario, or show it completed.

    \b
    Example:
      meshsim config validate scenario.yaml
    """


@command.command()
def schema() -> None:
    """Print the JSON Schema of scenarios, for editors and other programs.

    \b
    Example:
      meshsim config schema > scenario.schema.json
    """
    from meshsim.scenario import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@command.command()
@_SCENARIO
@_OVERRIDES
@options.as_json
def validate(scenario: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check SCENARIO (a file or a preset's name); exit code 2 and the place when something is wrong.

    \b
    Example:
      meshsim config validate scenario.yaml -o duration=60s
    """
    from meshsim.scenario import load

    options.emit({"scenario": load(scenario, overrides).name, "valid": True}, json_wanted=as_json)


@command.command()
@_SCENARIO
@_OVERRIDES
def show(scenario: str, overrides: tuple[str, ...]) -> None:
    """Print SCENARIO as JSON with every default filled in, in SI units.

    \b
    Example:
      meshsim config show demo
    """
    from meshsim.scenario import canonical, load

    click.echo(json.dumps(json.loads(canonical(load(scenario, overrides))), indent=2))
