"""The group of verbs, loaded lazily, and the one place that turns errors into exit codes.

Exit codes: 0 ok, 2 usage or configuration, 3 partial failure or missed goal, 130 interrupted.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import click

from meshsim import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

OK, USAGE, FAILED, INTERRUPTED = 0, 2, 3, 130

VERBS = {
    "artifact": "Bundle a finished experiment with all it takes to do it again, or do that.",
    "bench": "Measure how fast the simulator is beside reference engines.",
    "calibrate": "Fit the links of a scenario to what real nodes measured.",
    "completion": "Print the script that lets SHELL complete verbs, options and names at each Tab.",
    "compare": "Hold two runs or two batches against each other.",
    "config": "Print the scenario schema, check a scenario, or show it completed.",
    "data": "List and verify the data sets that scenarios can use.",
    "demo": "The whole road: simulate, train, export, real nodes, one report.",
    "doctor": "Say what is installed and what each extra would add.",
    "evaluate": "Hold a trained scorer to the goals of a suite.",
    "explain": "Tell why a call of a trace goes the way it goes, and what would turn it.",
    "exp": "List, run and look at experiments.",
    "models": "List, describe, sign and verify trained scorers.",
    "node": "Make a node's key, run one real node, place a call, ask how it is, read its trace, replay its receipts.",
    "registry": "Serve the control plane's registry and rendezvous.",
    "results": "Ask what was found: tables in SQL, their columns, and what failed.",
    "run": "Simulate a scenario and write its trace.",
    "topo": "List and show topologies, and convert graph files.",
    "train": "Train a route scorer and export it to ONNX.",
    "twin": "Run a scenario in the simulator and on real nodes, and hold both against each other.",
    "tune": "Search for how a route scorer is best trained.",
    "validate": "Hold the simulator to queueing theory and published samples.",
    "view": "Draw the network of a run as a page one can look into.",
}


class LazyGroup(click.Group):
    """A group that knows its verbs by name and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of all verbs, sorted."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The verb, imported now; None when there is no such verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"meshsim.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Writes the table of verbs without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(VERBS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs and options that begin so, without importing any verb."""
        from click.shell_completion import CompletionItem

        verbs = [CompletionItem(verb, help=told) for verb, told in sorted(VERBS.items()) if verb.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that `args` name; a wrong one is answered with the nearest right one."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from meshsim.mesh.errors import nearest

            close = nearest(args[0], VERBS)
            hint = f" Did you mean {close!r}?" if close else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="meshsim")
def app() -> None:
    """Mesh routing of real-time calls: simulate, learn, run on real nodes.

    \b
    Example:
      meshsim demo --out demo-out
      meshsim COMMAND --help        (each command's help ends with an example)
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
        arguments: The words after `meshsim`; those of the process when None.

    Returns:
        The exit code.
    """
    try:
        code = app.main(args=None if arguments is None else list(arguments), prog_name="meshsim", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt) as stop:
        click.echo("\n".join(["interrupted", *getattr(stop.__cause__ or stop, "__notes__", ())]), err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return USAGE
    except Exception as error:
        told = _blame(error)
        if told is None:
            raise
        click.echo(f"error: {told[0]}", err=True)
        return told[1]
    return code if isinstance(code, int) else OK


def _blame(error: Exception) -> tuple[Exception, int] | None:
    """What a person is told of an error, and the exit code; None for a defect. Imports here: no Tab waits for them."""
    from meshsim.cli.extras import missing_extra
    from meshsim.mesh.errors import ConfigError, IdentityError, MeshSimError, MissingExtra, TraceError

    if isinstance(error, ModuleNotFoundError):
        extra = missing_extra(error)
        return None if extra is None else (extra, USAGE)
    if isinstance(error, ConfigError | IdentityError | MissingExtra | TraceError):
        return error, USAGE
    return (error, FAILED) if isinstance(error, MeshSimError) else None
