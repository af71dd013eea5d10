"""Open Sound Control 1.0: the bytes of messages and bundles, both ways. Pure functions; any bytes may come in."""

from __future__ import annotations

import struct
from dataclasses import dataclass

Value = str | int | float | bool | bytes | None
BUNDLE = b"#bundle\0"
DEEPEST = 4
"""Bundles in bundles; real senders use one level."""
MOST = 1024
"""Messages in one datagram: a whole body with a face is about 130."""

_FIXED: dict[str, tuple[str, int]] = {"f": (">f", 4), "i": (">i", 4), "d": (">d", 8), "h": (">q", 8), "t": (">Q", 8)}
_CONSTANT: dict[str, Value] = {"T": True, "F": False, "N": None, "I": None}


@dataclass(frozen=True)
class Message:
    """One message: its address and values in order."""

    address: str
    values: tuple[Value, ...]


def encode(address: str, *values: str | int | float) -> bytes:
    """One message: address, type tags, values; all in steps of four bytes, big-endian.

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


def bundle(messages: list[bytes]) -> bytes:
    """Messages as one bundle, to be used at once."""
    return BUNDLE + struct.pack(">Q", 1) + b"".join(struct.pack(">i", len(one)) + one for one in messages)


def decode(content: bytes) -> list[Message]:
    """Every message of a datagram, bundles unpacked; their times are passed over: a live receiver acts at once.

    Raises:
        ValueError: cut short, too deep, or no OSC at all; nothing of it is to be used then.
    """
    found: list[Message] = []
    _packet(content, 0, found)
    return found


def _packet(content: bytes, depth: int, found: list[Message]) -> None:
    if not content.startswith(BUNDLE):
        found.append(_message(content))
        if len(found) > MOST:
            raise ValueError(f"more than {MOST} messages")
        return
    if depth >= DEEPEST:
        raise ValueError(f"bundles nested deeper than {DEEPEST}")
    at = len(BUNDLE) + 8
    if len(content) < at:
        raise ValueError("a bundle without a time")
    while at < len(content):
        length = _length(content, at)
        at += 4
        if not 0 < length <= len(content) - at:
            raise ValueError(f"an element of {length} bytes in a bundle of {len(content)}")
        _packet(content[at : at + length], depth + 1, found)
        at += length


def _message(content: bytes) -> Message:
    if not content.startswith(b"/"):
        raise ValueError("no OSC address")
    address, at = _text(content, 0)
    if at == len(content):
        # Senders of the first hour leave out the tags of a message without values.
        return Message(address, ())
    tags, at = _text(content, at)
    if not tags.startswith(","):
        raise ValueError("no OSC type tags")
    values: list[Value] = []
    for tag in tags[1:]:
        if tag in _FIXED:
            form, size = _FIXED[tag]
            values.append(_number(form, content, at))
            at += size
        elif tag in "sS":
            text, at = _text(content, at)
            values.append(text)
        elif tag in _CONSTANT:
            values.append(_CONSTANT[tag])
        elif tag == "b":
            length = _length(content, at)
            if not 0 <= length <= len(content) - at - 4:
                raise ValueError(f"a blob of {length} bytes")
            values.append(content[at + 4 : at + 4 + length])
            at += 4 + (length + 3) // 4 * 4
        else:
            raise ValueError(f"type {tag!r} is not known")
    return Message(address, tuple(values))


def _text(content: bytes, at: int) -> tuple[str, int]:
    end = content.find(b"\0", at)
    if end < 0:
        raise ValueError("a text without an end")
    following = at + ((end - at) // 4 + 1) * 4
    if following > len(content):
        raise ValueError("a text that is cut short")
    try:
        return content[at:end].decode(), following
    except UnicodeDecodeError as error:
        raise ValueError("a text that is no UTF-8") from error


def _length(content: bytes, at: int) -> int:
    return int(_number(">i", content, at))


def _number(form: str, content: bytes, at: int) -> int | float:
    try:
        number: int | float = struct.unpack_from(form, content, at)[0]
    except struct.error as error:
        raise ValueError("values cut short") from error
    return number


def _padded(text: str) -> bytes:
    raw = text.encode()
    return raw + bytes(4 - len(raw) % 4)
