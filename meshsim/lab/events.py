"""Event files of TensorBoard: scalars by step, as they come. Nothing is read back."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from meshsim.mesh.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from meshsim.learn.course import Epoch


class Events:
    """The event file of one run."""

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2  # noqa: PLC0415 - an extra
            from tensorboard.summary.writer.event_file_writer import EventFileWriter  # noqa: PLC0415 - as above
        except ImportError as error:
            raise MissingExtra("tensorboard", "tracking") from error
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._writer = EventFileWriter(str(folder))

    def parameters(self, said: Mapping[str, Any], label: str) -> None:
        """What the run was asked: a line in TensorBoard's table."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb  # noqa: PLC0415 - an extra

        self._writer.add_event(self._event(summary=hparams_pb(said, trial_id=label, start_time_secs=0.0)))

    def scalar(self, name: str, step: int, value: float) -> None:
        """One value."""
        summary = self._summary(value=[self._summary.Value(tag=name, simple_value=value)])
        self._writer.add_event(self._event(step=step, summary=summary))

    def flush(self) -> None:
        """What came so far can be seen."""
        self._writer.flush()

    def close(self) -> None:
        """No more comes."""
        self._writer.close()


@contextlib.contextmanager
def epoch_events(folder: Path) -> Iterator[Callable[[Epoch], None]]:
    """What writes each epoch of a training into an event file below `folder` at once.

    Raises:
        MissingExtra: Without tensorboard.
    """
    events = Events(folder)

    def tell(epoch: Epoch) -> None:
        for name, value in asdict(epoch).items():
            if name != "number":
                events.scalar(f"training/{name}", epoch.number, value)
        events.flush()

    try:
        yield tell
    finally:
        events.close()
