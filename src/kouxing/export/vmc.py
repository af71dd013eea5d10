"""VMC: blend shape values as OSC messages over UDP, as VSeeFace, Warudo, VNyan, Unity and Blender receivers read them.

One message a datagram: some receivers reject OSC bundles.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from kouxing.arkit import COEFFICIENTS, PLACE, pascal
from kouxing.types import Float

VALUE = "/VMC/Ext/Blend/Val"
APPLY = "/VMC/Ext/Blend/Apply"
OK = "/VMC/Ext/OK"
TIME = "/VMC/Ext/T"


def message(address: str, *values: str | int | float) -> bytes:
    """One OSC 1.0 message: address, type tags, values; all in steps of four bytes, big-endian.

    Raises:
        TypeError: a value is neither text, nor a whole number, nor a float.
    """
    tags, body = ",", b""
    for value in values:
        if isinstance(value, str):
            tags, body = tags + "s", body + _padded(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            tags, body = tags + "i", body + struct.pack(">i", value)
        elif isinstance(value, float):
            tags, body = tags + "f", body + struct.pack(">f", value)
        else:
            raise TypeError(f"{type(value).__name__} has no OSC form here")
    return _padded(address) + _padded(tags) + body


def _padded(text: str) -> bytes:
    raw = text.encode()
    return raw + bytes(4 - len(raw) % 4)


def messages(values: Float, time_s: float, extra: Mapping[str, float] | None = None) -> list[bytes]:
    """The messages of one frame: each name's value, then "apply", "ok" and the time.

    Args:
        values: ``[52] float32``, 0..1, as ``arkit.COEFFICIENTS``; sent under "perfect sync" names (``JawOpen``).
        time_s: seconds since the sender began.
        extra: more names and values as they are, such as VRM's ``A`` or ``aa``.
    """
    named = {pascal(name): float(values[PLACE[name]]) for name in COEFFICIENTS} | dict(extra or {})
    sent = [message(VALUE, name, float(value)) for name, value in named.items()]
    return [*sent, message(APPLY), message(OK, 1), message(TIME, float(time_s))]
