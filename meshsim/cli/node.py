"""`meshsim node`: one real node in its own process."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import options
from meshsim.cli.app import FAILED, OK

_CONFIG = click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))

_SET = click.option(
    "--set", "said", multiple=True, metavar="KEY=VALUE", help="Say a key instead of the file and the environment."
)


@click.group("node")
def command() -> None:
    """Make a node's key, run one real node, place a call, replay what it was told of others.

    \b
    Example:
      meshsim node keygen alice.key
      meshsim node run alice.yaml
    """


@command.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@options.as_json
def keygen(path: Path, as_json: bool) -> None:
    """Write a new Ed25519 key to PATH, readable by its owner only, and print the node's did:key.

    \b
    Example:
      meshsim node keygen alice.key
    """
    from meshsim.identity import Ed25519Signer
    from meshsim.mesh.ids import did_key

    if path.exists():
        raise click.UsageError(f"{path} exists already; a key is never overwritten")
    signer = Ed25519Signer.generate()
    signer.to_file(path)
    options.emit({"node": did_key(signer.node_id), "key": str(path)}, json_wanted=as_json)


@command.command()
@_CONFIG
@_SET
def run(config: Path, said: tuple[str, ...]) -> int:
    """Run the node that CONFIG describes until it is told to stop.

    A variable MESHSIM_NODE_<KEY> of the environment counts instead of the file's key, --set instead of both.

    \b
    Example:
      meshsim node run alice.yaml
    """
    from meshsim.node.commands import run_node

    return run_node(config, said)


@command.command()
@_CONFIG
@click.argument("callee")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="How long to talk.")
@_SET
@options.as_json
def call(config: Path, callee: str, seconds: float, said: tuple[str, ...], as_json: bool) -> int:
    """Place a call from the node that CONFIG describes to the identity CALLEE; exit code 3 if it is not completed.

    \b
    Example:
      meshsim node call alice.yaml @bob.aura --seconds 5 --json
    """
    from meshsim.node.commands import place_call

    answer = place_call(config, callee, seconds, said)
    options.emit(answer, json_wanted=as_json)
    return OK if answer["outcome"] == "completed" else FAILED


@command.command()
@click.argument("journal", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--at", type=float, help="When, in seconds of the node's clock; when everything is judged by default.")
@options.as_json
def replay(journal: Path, at: float | None, as_json: bool) -> None:
    """Judge the receipts in JOURNAL anew (`receipts:` in a node's file) and print the scores that follow.

    \b
    Example:
      meshsim node replay alice.receipts --json
    """
    from meshsim.node.journal import replay_file

    options.emit(replay_file(journal, at), json_wanted=as_json)
