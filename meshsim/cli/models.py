"""`meshsim models`: the trained scorers at hand."""

from __future__ import annotations

import click

from meshsim.cli import names, options


@click.group("models")
def command() -> None:
    """List, describe, sign and verify trained scorers.

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
@click.option("--signer", metavar="DID", help="The did:key of the operator who must have signed it.")
@options.as_json
def verify(model: str, signer: str | None, as_json: bool) -> None:
    """Hold MODEL to its manifest, its signature, this version's features, and what torch said when it was exported.

    Exit code 2 on the first thing that does not hold.

    \b
    Example:
      meshsim models verify route-scorer
    """
    from meshsim.mesh.ids import did_key, from_did_key
    from meshsim.routing.artefact import current_columns
    from meshsim.routing.proof import prove

    proof = prove(model, None if signer is None else from_did_key(signer))
    answer = {
        "model": model,
        "verified": True,
        "manifest_sha256": proof.artefact.digest,
        "features_version": current_columns().version,
        "signer": "unsigned" if proof.artefact.signer is None else did_key(proof.artefact.signer),
        "difference_from_torch": proof.apart,
        "graph": "as it should be" if proof.linted else "not looked at: pip install 'meshsim[learn]'",
    }
    options.emit(answer, json_wanted=as_json)


@command.command()
@click.argument("model", shell_complete=names.models)
@click.option("--key", required=True, type=click.Path(exists=True, dir_okay=False), help="From meshsim node keygen.")
@options.as_json
def sign(model: str, key: str, as_json: bool) -> None:
    """Sign MODEL with an operator's key: writes signature.json beside its manifest.

    What does not verify is not signed. A signature that stands there already is replaced.

    \b
    Example:
      meshsim models sign runs/train --key operator.key
    """
    from meshsim.identity import Ed25519Signer
    from meshsim.mesh.ids import did_key
    from meshsim.routing.artefact import sign_model
    from meshsim.routing.proof import prove

    signer = Ed25519Signer.from_file(key)
    prove(model)
    folder = sign_model(model, signer)
    options.emit({"model": model, "folder": folder, "signer": did_key(signer.node_id)}, json_wanted=as_json)
