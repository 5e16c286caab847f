"""`meshsim registry`: the control plane as a server."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import options


@click.group("registry")
def command() -> None:
    """Serve the control plane's registry and rendezvous.

    \b
    Example:
      meshsim registry serve --port 8420
    """


@command.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8420, show_default=True, help="0 takes a free one.")
@click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File to keep records in; memory when not given.",
)
@click.option("--domain", default="", help="The home domain of unqualified identities.")
@options.as_json
def serve(host: str, port: int, store: Path | None, domain: str, as_json: bool) -> None:
    """Serve registration, resolution and rendezvous until interrupted.

    \b
    Example:
      meshsim registry serve --host 127.0.0.1 --port 8420 --store registry.jsonl
    """
    from meshsim.control.http import serve as serve_http

    def ready(url: str) -> None:
        options.emit({"url": url}, json_wanted=as_json)

    serve_http(host, port, store, domain=domain, ready=ready)
