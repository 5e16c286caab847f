"""`meshsim node`: one real node in its own process."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

from meshsim.cli import options
from meshsim.cli.app import FAILED, OK
from meshsim.mesh.media import AicPolicy, MediaType

_CONFIG = click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))

_SET = click.option(
    "--set", "said", multiple=True, metavar="KEY=VALUE", help="Say a key instead of the file and the environment."
)

_MEDIA = [str(MediaType.AUDIO), str(MediaType.AUDIO_VIDEO)]
_TABLES = ["calls", "events", "link_samples", "nodes", "routes", "trust"]


@click.group("node")
def command() -> None:
    """Make a node's key, run one real node, place a call, ask how it is, read its trace, replay its receipts.

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
@click.option("--media", type=click.Choice(_MEDIA), default="audio", show_default=True, help="What it carries.")
@click.option(
    "--aic",
    type=click.Choice([str(policy) for policy in AicPolicy]),
    default="off",
    show_default=True,
    help="How AIC is treated.",
)
@_SET
@options.as_json
def call(config: Path, callee: str, seconds: float, media: str, aic: str, said: tuple[str, ...], as_json: bool) -> int:
    """Place a call from the node that CONFIG describes to the identity CALLEE; exit code 3 if it is not completed.

    If that node runs, it makes the call; else one joins the mesh for this call alone.

    \b
    Example:
      meshsim node call alice.yaml @bob.aura --seconds 5 --json
      meshsim node call alice.yaml @bob.aura --seconds 5 --media audio_video --aic prefer
    """
    from meshsim.node.commands import place_call

    answer = place_call(config, callee, seconds, said, media=media, aic=aic)
    options.emit(answer, json_wanted=as_json)
    return OK if answer["outcome"] == "completed" else FAILED


@command.command()
@_CONFIG
@_SET
@options.as_json
def status(config: Path, said: tuple[str, ...], as_json: bool) -> None:
    """Ask the running node that CONFIG describes how it is: its links, calls, reputations and what it refused.

    \b
    Example:
      meshsim node status alice.yaml
      meshsim node status alice.yaml --json
    """
    from meshsim.node.commands import ask_node

    told = ask_node(config, "status", said)
    if as_json:
        options.emit(told, json_wanted=True)
        return
    tables = ("links", "calls", "reputations", "ended")
    answer = {key: value for key, value in told.items() if key not in tables}
    options.emit_tables({"tables": {name: told[name] for name in tables}, **answer}, json_wanted=False)


@command.command()
@_CONFIG
@click.option("--table", type=click.Choice(_TABLES), help="Print its rows: as CSV, or with --json as JSON lines.")
@options.out(None, "Folder to copy the trace to.")
@_SET
@options.as_json
def trace(config: Path, table: str | None, out: Path | None, said: tuple[str, ...], as_json: bool) -> None:
    """Show what is in the trace of the node that CONFIG describes (`trace:` in its file), print a table, or copy it.

    A running node makes its trace whole first.

    \b
    Example:
      meshsim node trace alice.yaml
      meshsim node trace alice.yaml --table calls --json
    """
    import csv
    import shutil
    import sys

    from meshsim.measure.records import TABLES
    from meshsim.measure.trace import Trace, refuse_whole
    from meshsim.node.commands import find_trace

    whole = Trace(find_trace(config, said))
    if out is not None:
        refuse_whole(out)
        shutil.copytree(whole.folder, out, dirs_exist_ok=True)
    if table is None:
        rows = {name: whole.table(name).num_rows for name in TABLES}
        kept = {name: count for name, count in rows.items() if count}
        options.emit({"folder": whole.folder, **whole.header, "rows": kept}, json_wanted=as_json)
        return
    content = [
        {key: value.hex() if isinstance(value, bytes) else value for key, value in row.items()}
        for row in whole.table(table).to_pylist()
    ]
    if as_json:
        for row in content:
            options.emit(row, json_wanted=True)
        return
    lines = csv.DictWriter(sys.stdout, [column.name for column in TABLES[table]])
    lines.writeheader()
    lines.writerows(content)


@command.command()
@_CONFIG
@click.argument("peer")
@_SET
@options.as_json
def offer(config: Path, peer: str, said: tuple[str, ...], as_json: bool) -> None:
    """Let the running node that CONFIG describes make an offer to PEER (did:key), to be carried by hand.

    Give the line to the other node's owner, who lets that node take it (meshsim node take); what comes back, let this
    node take within two minutes. No registry is needed.

    \b
    Example:
      meshsim node offer alice.yaml did:key:z6Mkf5rGMoatrSj1f4CyvuHBeXJELe9RPdzo2PKGNCKVtZxP
    """
    from meshsim.node.commands import ask_node

    told = ask_node(config, "offer", said, peer=peer)
    options.emit(told if as_json else told["line"], json_wanted=as_json)


@command.command()
@_CONFIG
@click.argument("line", type=click.File("r", encoding="utf-8"), default="-")
@_SET
@options.as_json
def take(config: Path, line: TextIO, said: tuple[str, ...], as_json: bool) -> None:
    """Let the running node that CONFIG describes take a line that was carried by hand, from a file or standard input.

    If it is an offer, its answer is printed, to be carried back; if it is an answer, the link is open after this.

    \b
    Example:
      meshsim node take bob.yaml offer.txt
    """
    from meshsim.node.commands import ask_node

    told = ask_node(config, "take", said, line=line.read())
    options.emit(told if as_json else told["line"] or "linked", json_wanted=as_json)


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
