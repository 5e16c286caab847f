"""`meshsim completion`: what makes a shell complete the words of `meshsim`."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that lets SHELL complete verbs, options and names at each Tab.

    Names are those of presets, policies, experiments and trained scorers, as they are when Tab is pressed.

    \b
    Example:
      meshsim completion bash > ~/.local/share/bash-completion/completions/meshsim
      meshsim completion zsh > ~/.zfunc/_meshsim
      meshsim completion fish > ~/.config/fish/completions/meshsim.fish
    """
    from click.shell_completion import get_completion_class

    from meshsim.cli.app import app

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - narrows the type for mypy: the choice names what click knows
    # not `source()`, which for bash starts one to ask its version
    script = kind(app, {}, "meshsim", "_MESHSIM_COMPLETE")
    click.echo(script.source_template % script.source_vars())
