"""Live Link Face: the app's CSV takes, and the UDP packets that Unreal Engine and others listen to.

Columns are found by name, since two orders and two spellings are about. Time codes count frames of 1/60 s of the day,
with thousandths; real takes come a little slower than 60 rows a second, so rows keep their own times.
"""

from __future__ import annotations

import csv
import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kouxing.arkit import COEFFICIENTS, PLACE, ROTATIONS, pascal
from kouxing.errors import DataError
from kouxing.types import CoefficientTrack, Float
from kouxing.units import COEFFICIENT_HZ

FIRST = ("Timecode", "BlendShapeCount")
COUNT = len(COEFFICIENTS) + len(ROTATIONS)
TICKS = 1000
"""Parts of a frame in time codes."""
TICK_HZ = COEFFICIENT_HZ * TICKS
DAY = 24 * 60 * 60 * TICK_HZ

_SWAPPED = {"jawLeft": "jawRight", "jawRight": "jawLeft", "mouthLeft": "mouthRight", "mouthRight": "mouthLeft"}
CSV_COEFFICIENTS = tuple(_SWAPPED.get(name, name) for name in COEFFICIENTS)
"""The app's own order: right before left for jaw and mouth."""
HEADER = (*FIRST, *(pascal(name) for name in CSV_COEFFICIENTS + ROTATIONS))

_TIMECODE = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})[:;](\d{1,2})(?:\.(\d{1,3}))?")
_OPTIONAL = {"tongueout"}
"""Not in takes of the app's first versions."""


def to_csv(track: CoefficientTrack) -> Iterator[bytes]:
    """A take as the app writes it, line by line: time codes from ``track.start`` on, UTF-8."""
    order = [PLACE[name] for name in CSV_COEFFICIENTS]
    no_turns = [0.0] * len(ROTATIONS)
    yield (",".join(HEADER) + "\n").encode()
    for row in range(len(track)):
        turns = no_turns if track.rotations is None else track.rotations[row].tolist()
        cells = ",".join(f"{number:.10f}" for number in [*track.values[row, order].tolist(), *turns])
        yield f"{timecode(track.start + track.time(row))},{COUNT},{cells}\n".encode()


def from_csv(content: bytes, where: str) -> CoefficientTrack:
    """Read a take: any order of columns, any case; rows where the app saw no face are left out.

    Values outside 0..1, which calibrated takes may have, are cut off.

    Args:
        content: the file. where: its name, for errors.

    Raises:
        DataError: not such a file; the text says in which line.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where} is no Live Link Face CSV ({error}): export the take as CSV again") from error
    places = _columns(rows[0] if rows else [], where)
    ticks: list[int] = []
    values: list[list[float]] = []
    for line, row in enumerate(rows[1:], 2):
        if not row or (len(row) > 1 and row[1].strip() == "0"):
            continue
        time, numbers = _row(row, places, f"{where} line {line}")
        # A take may run over midnight.
        while ticks and time <= ticks[-1] and ticks[-1] - time > DAY // 2:
            time += DAY
        if ticks and time <= ticks[-1]:
            raise DataError(
                f"{where} line {line}: time code {row[0].strip()} does not come after the one before; sort the rows"
            )
        ticks.append(time)
        values.append(numbers)
    if not values:
        raise DataError(f"{where} has no row with a face; record the take again")
    return _track(np.array(values, np.float64), np.array(ticks, np.int64))


def _track(table: np.ndarray, ticks: np.ndarray) -> CoefficientTrack:
    cut = len(COEFFICIENTS)
    values = np.clip(table[:, :cut], 0, 1).astype(np.float32)
    turns = table[:, cut:].astype(np.float32)
    start = Fraction(int(ticks[0]), TICK_HZ)
    pts = ticks - ticks[0]
    if np.array_equal(pts, TICKS * np.arange(len(pts))):
        return CoefficientTrack(values, rotations=turns, start=start)
    return CoefficientTrack(values, rotations=turns, pts=pts, time_base=Fraction(1, TICK_HZ), start=start)


def _columns(header: list[str], where: str) -> list[int | None]:
    """Where each coefficient, then each rotation, stands; None where it may be missing and is."""
    found: dict[str, int] = {}
    for place, name in enumerate(cell.strip().lower() for cell in header):
        if name in found:
            raise DataError(f"{where}: column {header[place].strip()!r} occurs twice; remove one")
        found[name] = place
    wanted = [name.lower() for name in (FIRST[0], *COEFFICIENTS)]
    missing = [name for name in wanted if name not in found and name not in _OPTIONAL]
    if found.get("timecode") != 0 or "blendshapecount" not in found or missing:
        what = f"lacks {missing[0]}" if missing else "does not begin with Timecode,BlendShapeCount"
        raise DataError(f"{where} is no Live Link Face CSV: its header {what}; export the take as CSV again")
    return [found.get(name.lower()) for name in COEFFICIENTS + ROTATIONS]


def _row(row: list[str], places: list[int | None], where: str) -> tuple[int, list[float]]:
    try:
        numbers = [0.0 if place is None else float(row[place] or 0) for place in places]
    except (ValueError, IndexError) as error:
        raise DataError(f"{where}: {error}; the line is damaged, remove it") from error
    if not all(abs(number) < np.finfo(np.float32).max for number in numbers):
        raise DataError(f"{where}: a value is not a finite number; remove the line")
    return _ticks(row[0], where), numbers


def _ticks(text: str, where: str) -> int:
    match = _TIMECODE.fullmatch(text.strip())
    if match is None:
        raise DataError(f"{where}: {text!r} is no time code HH:MM:SS:FF.mmm; the line is damaged, remove it")
    hours, minutes, seconds, frames = (int(match[place]) for place in range(1, 5))
    thousandths = int((match[5] or "0").ljust(3, "0"))
    return (((hours * 60 + minutes) * 60 + seconds) * COEFFICIENT_HZ + frames) * TICKS + thousandths


def timecode(time: Fraction) -> str:
    """``HH:MM:SS:FF.mmm`` of a time of day in seconds, 60 frames a second, to the nearest thousandth of a frame."""
    frames, thousandths = divmod(round(time * TICK_HZ) % DAY, TICKS)
    seconds, frame = divmod(frames, COEFFICIENT_HZ)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frame:02}.{thousandths:03}"


VERSION = 6


@dataclass(frozen=True)
class Packet:
    """One UDP packet.

    Attributes:
        device: the sender's id, a UUID of 36 characters from the app.
        subject: name under which the receiver lists the face.
        frame, subframe: time since midnight in frames and parts of one.
        rate: frames per second.
        values: ``[52] float32`` as ``arkit.COEFFICIENTS``, or None where no face was seen.
        rotations: ``[9] float32`` radians as ``arkit.ROTATIONS``, or None.
    """

    device: str
    subject: str
    frame: int
    subframe: float
    rate: Fraction
    values: Float | None
    rotations: Float | None


def encode(packet: Packet) -> bytes:
    """The bytes of a packet, big-endian; a face without rotations has zeros there."""
    head = struct.pack(">B", VERSION)
    for text in (packet.device, packet.subject):
        raw = text.encode()
        head += struct.pack(">i", len(raw)) + raw
    head += struct.pack(">ifii", packet.frame, packet.subframe, packet.rate.numerator, packet.rate.denominator)
    if packet.values is None:
        return head
    turns = packet.rotations if packet.rotations is not None else np.zeros(len(ROTATIONS), np.float32)
    numbers = np.concatenate([packet.values, turns])
    if numbers.shape != (COUNT,):
        raise ValueError(f"values and rotations must be {COUNT} numbers, got {numbers.shape}")
    return head + struct.pack(">B", COUNT) + numbers.astype(">f4").tobytes()


def decode(content: bytes) -> Packet:
    """Read one packet.

    Raises:
        ValueError: cut short, of another version, or not such a packet at all.
    """
    try:
        (version,) = struct.unpack_from(">B", content)
        if version != VERSION:
            raise ValueError(f"version {version}, not {VERSION}")
        at, texts = 1, []
        for _ in range(2):
            (length,) = struct.unpack_from(">i", content, at)
            at += 4
            if not 0 <= length <= len(content) - at:
                raise ValueError(f"a name of {length} bytes in a packet of {len(content)}")
            texts.append(content[at : at + length].decode())
            at += length
        frame, subframe, over, under = struct.unpack_from(">ifii", content, at)
        rate = Fraction(over, under)
        at += 16
        values = turns = None
        if at < len(content):
            (count,) = struct.unpack_from(">B", content, at)
            if count != COUNT or len(content) != at + 1 + 4 * COUNT:
                raise ValueError(f"{count} values in {len(content) - at - 1} bytes, not {COUNT}")
            numbers = np.frombuffer(content, ">f4", COUNT, at + 1).astype(np.float32)
            values, turns = numbers[: len(COEFFICIENTS)], numbers[len(COEFFICIENTS) :]
    except (struct.error, UnicodeDecodeError, ZeroDivisionError) as error:
        raise ValueError(f"no Live Link packet: {error}") from error
    return Packet(texts[0], texts[1], frame, subframe, rate, values, turns)
