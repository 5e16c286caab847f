"""What a program speaks, shows, hears and sees with in its node's calls; without any, the lab's own voice and pictures.

A node that only relays uses none of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_SAMPLES = 960
"""Samples of a frame of voice: 20 ms at 48 kHz."""
WIDTH, HEIGHT = 320, 192
"""Of a picture, pixels."""

Microphone: TypeAlias = "Callable[[int], NDArray[np.int16]]"
Camera: TypeAlias = "Callable[[int], NDArray[np.uint8]]"
Speaker: TypeAlias = "Callable[[NDArray[np.int16]], object]"
Screen: TypeAlias = "Callable[[NDArray[np.uint8]], object]"
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """A program's own ends of its calls. All are called in the event loop and must return soon.

    Attributes:
        microphone: Gives frame `number` of a call, from 0: int16 of (960,), mono at 48 kHz; every 20 ms.
        camera: Gives picture `number` of a call, from 0: uint8 of (288, 320), planar YUV 4:2:0 (192 rows of luminance,
            then the two of colour), as PyAV has it; every fifteenth of a second.
        speaker: Takes each frame of voice that came, as `microphone` gives it; frames that were lost are missing.
        screen: Takes each picture that came, as `camera` gives it, in order.
    """

    microphone: Microphone | None = None
    camera: Camera | None = None
    speaker: Speaker | None = None
    screen: Screen | None = None


NONE = Devices()
"""The lab's own voice and pictures, and nobody who hears or sees."""


def guarded(devices: Devices) -> Devices:
    """The same devices, none of which can end a node: what they raise, or do wrong, is the event loop's to tell.

    Silence and a black picture stand in for what was not given.
    """
    microphone, camera, speaker, screen = devices.microphone, devices.camera, devices.speaker, devices.screen
    silence = np.zeros(FRAME_SAMPLES, dtype=np.int16)
    black = np.repeat(np.array([16, 128], dtype=np.uint8), (HEIGHT, HEIGHT // 2))[:, None].repeat(WIDTH, axis=1)
    return Devices(
        microphone=None if microphone is None else careful(lambda number: checked_frame(microphone(number)), silence),
        camera=None if camera is None else careful(lambda number: checked_picture(camera(number)), black),
        speaker=None if speaker is None else later(speaker),
        screen=None if screen is None else later(screen),
    )


def careful(make: Callable[[int], Made], instead: Made) -> Callable[[int], Made]:
    """`make`, but what it raises is the event loop's to tell, and `instead` is taken: no device ends a node."""

    def made(number: int) -> Made:
        try:
            return make(number)
        except Exception as error:  # noqa: BLE001 - it is the program's code
            asyncio.get_running_loop().call_exception_handler({"message": "a device failed", "exception": error})
            return instead

    return made


def later(take: Callable[[Any], object]) -> Callable[[Any], object]:
    """`take`, called by the event loop in a moment: what it raises is the loop's to tell."""
    return lambda what: asyncio.get_running_loop().call_soon(take, what)


def checked_frame(frame: Any) -> NDArray[np.int16]:
    """A frame of voice.

    Raises:
        ValueError: If it is none.
    """
    samples = np.ascontiguousarray(frame)
    if samples.dtype != np.int16 or samples.shape != (FRAME_SAMPLES,):
        raise ValueError(f"a frame is int16 of ({FRAME_SAMPLES},), not {samples.dtype} of {samples.shape}")
    return samples


def checked_picture(picture: Any) -> NDArray[np.uint8]:
    """A picture.

    Raises:
        ValueError: If it is none.
    """
    pixels = np.ascontiguousarray(picture)
    if pixels.dtype != np.uint8 or pixels.shape != (3 * HEIGHT // 2, WIDTH):
        raise ValueError(f"a picture is uint8 of {(3 * HEIGHT // 2, WIDTH)}, not {pixels.dtype} of {pixels.shape}")
    return pixels
