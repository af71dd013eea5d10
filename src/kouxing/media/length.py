"""How long a file really is: by its packets, whatever its header tells, or does not."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from av.error import FFmpegError

from kouxing.media.opening import opened


def lasts_longer(path: Path, limit_s: float) -> bool:
    """Whether any stream of picture or sound goes on for more than ``limit_s``; nothing is decoded.

    Raises:
        MediaError: the file cannot be opened.
    """
    begun: dict[int, float] = {}
    counted: dict[int, float] = defaultdict(float)
    with opened(path) as container:
        try:
            for packet in container.demux(*container.streams.video, *container.streams.audio):
                base, place = float(packet.time_base or 0), packet.stream_index
                counted[place] += (packet.duration or 0) * base
                stamp = packet.pts if packet.pts is not None else packet.dts
                at = counted[place] if stamp is None else stamp * base
                first = begun.setdefault(place, at)
                if max(at - first, counted[place]) > limit_s:
                    return True
        except (FFmpegError, OSError):
            # Cut off: as readers take it, it ends here.
            pass
    return False
