"""Speech -> a face's animation, as a file or sent live: joins the models with sound, exports and avatars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.resources import as_file, files
from os.path import realpath
from pathlib import Path
from typing import Any

import numpy as np

from kouxing.arkit import COEFFICIENTS
from kouxing.audio import damage
from kouxing.errors import DataError, MediaError, NoSoundError, OptionError, OutputError
from kouxing.export import files as tracks
from kouxing.export import glb, gltf
from kouxing.export.send import Sender, send_track, target
from kouxing.infer import morphs
from kouxing.infer.animate_listen import LONGEST_S, Listened, Progress, listen, too_long
from kouxing.infer.animator import RowStream
from kouxing.infer.emotion import Mood, emotion_at, read_mood
from kouxing.infer.explain import draw
from kouxing.infer.expression import Expression
from kouxing.infer.mouth import Mouth
from kouxing.infer.multimodal import Multimodal
from kouxing.infer.multimodal_animate import Modalities, join, load_samples
from kouxing.infer.style import like
from kouxing.media import credentials
from kouxing.media.aside import aside, keep_inputs, reserved
from kouxing.media.metadata import ALL_MADE, SOURCE_TYPES
from kouxing.media.reader import probe
from kouxing.types import CoefficientTrack
from kouxing.units import COEFFICIENT_HZ

METHODS = ("expression", "mouth")
JOINED = "multimodal"
"""The method where a text or a mouth video is given too."""
ENDINGS = (".csv", ".json", ".glb", ".mp4")
BLINKS = 0
"""Seed of the blinks: the same speech blinks at the same moments."""
HEAD = "head.glb"
SHOWN = {".glb", ".mp4"}
"""Endings of files that show an avatar."""
"""The bundled avatar, in ``kouxing/assets``."""


@dataclass(frozen=True)
class AnimateReport:
    """What came out.

    Attributes:
        out: files written.
        seconds: of speech.
        rows: of coefficients, 60 a second.
        method: which model.
        look_ahead_ms: sound that the model waits for.
        real_time_factor: seconds of the model's work per second of speech.
        sent: where to, and what became of the frames; None where nothing was sent.
        warnings: what the user should know, a line each.
    """

    out: tuple[Path, ...]
    seconds: float
    rows: int
    method: str
    look_ahead_ms: float
    real_time_factor: float
    sent: dict[str, Any] | None
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "out": [str(path) for path in self.out], "warnings": list(self.warnings)}


@dataclass(frozen=True)
class Voice:
    """A model ready to hear one speech.

    Attributes:
        rows: its stream.
        rate: rows per second.
        look_ahead_ms: sound that it waits for.
    """

    rows: RowStream
    rate: Fraction
    look_ahead_ms: float


def load(method: str, folder: Path | None = None, live: bool = False) -> Mouth | Expression:
    """A model, of which any number of streams may be made.

    Args:
        method: one of ``METHODS``.
        folder: where its weights lie; the shipped ones (or ``KOUXING_WEIGHTS``) by default.
        live: for a stream: the ``expression`` that looks no further than 100 ms ahead (``mouth`` never does).

    Raises:
        OptionError: no such method.
        WeightError: weights are missing or damaged.
    """
    if method not in METHODS:
        raise OptionError(f"--method {method}: choose one of {', '.join(METHODS)}")
    return Mouth(threads=1, folder=folder) if method == "mouth" else Expression(threads=1, folder=folder, live=live)


def voice(model: Mouth | Expression, moods: Sequence[Mood] = (), style: CoefficientTrack | None = None) -> Voice:
    """A model's stream at its beginning.

    Args:
        model: from ``load``.
        moods: emotions over time, for ``expression``.
        style: coefficients of somebody whose manner is taken, for ``expression``; the average manner by default.

    Raises:
        OptionError: ``mouth`` knows neither emotions nor styles.
    """
    if isinstance(model, Mouth):
        if moods or style is not None:
            raise OptionError("--method mouth moves the mouth only; leave --emotion and --style out or use expression")
        return Voice(model.stream(), model.rate_hz, model.look_ahead_ms)
    manner = None if style is None else model.read_style(style)
    rows = model.stream(emotion=lambda times: emotion_at(moods, times), style=manner, blinks=BLINKS)
    return Voice(rows, model.rate_hz, model.look_ahead_ms)


def animate(
    speech: str | Path | None,
    out: str | Path | Sequence[str | Path] = (),
    *,
    method: str = "expression",
    emotion: str | Sequence[str] = (),
    style: str | Path | None = None,
    avatar: str | Path | None = None,
    send: str | None = None,
    explain: str | Path | None = None,
    text: str | Path | None = None,
    language: str | None = None,
    mouth_video: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> AnimateReport:
    """Turn speech into face animation, 60 rows a second.

    Args:
        speech: sound, or a video whose sound is taken; None where ``text`` or ``mouth_video`` stand alone.
        out: what to write, by ending: ``.csv`` (Live Link Face), ``.json``, ``.glb`` (the avatar, animated), ``.mp4``
            (a preview of it).
        method: ``expression`` (the whole face, emotions) or ``mouth`` (mouth and jaw, the shortest delay).
        emotion: ``NAME[:STRENGTH][@STARTs..STOPs]``, one or several.
        style: ``.csv`` or ``.json`` coefficients of a person whose manner of speaking is taken.
        avatar: a GLB with ARKit's 52 morph targets for ``.glb`` and ``.mp4``; the bundled head by default.
        send: ``vmc://host:port`` or ``livelink://host:port``; sends live at 60 frames a second, after the files.
        explain: a PNG of what the model attended to (``mouth``).
        text: what is said, or a transcript (``text.transcripts``): it helps where speech is noisy.
        language: espeak-ng's name of the text's language; English (``en``) by default.
        mouth_video: the face of the speaker, saying the same: its lips are followed.
        overwrite: replace files that are there.
        progress: called with (stage, done, total or None); stages are ``look`` (of a mouth video), ``listen``,
            ``draw``, ``send``.

    Raises:
        OptionError: an option is out of range, nothing to do, or an ending that names no format.
        MediaError: the speech cannot be read; NoSoundError where it has none.
        DataError: the avatar, the style or the text's file is not one.
        OutputError: a file cannot be written or is there already; or nobody listened where it was sent.
        WeightError: weights are missing or damaged.
    """
    given = Modalities.of(text, language, mouth_video)
    _check_modalities(speech, given, method, bool(emotion) or style is not None or explain is not None)
    source = None if speech is None else Path(speech)
    goals = [Path(out)] if isinstance(out, (str, Path)) else [Path(one) for one in out]
    if not goals and send is None and explain is None:
        raise OptionError("nothing to make: name a file with --out or an address with --send")
    moods = [read_mood(one) for one in ([emotion] if isinstance(emotion, str) else emotion)]
    place = target(send) if send is not None else None
    if avatar is not None and not {goal.suffix.lower() for goal in goals} & SHOWN:
        raise OptionError(f"--avatar {avatar}: is shown by .glb and .mp4 files alone; leave it out, or write one")
    chosen, manner = (None if one is None else Path(one) for one in (avatar, style))
    _check(source, goals, Path(explain) if explain is not None else None, method, overwrite)
    for goal in (*goals, *([Path(explain)] if explain is not None else [])):
        keep_inputs(goal, source, chosen, manner, given.mouth_video)
    with ExitStack() as stack:
        stack.enter_context(reserved(*goals, *([Path(explain)] if explain is not None else [])))
        head = stack.enter_context(_head(chosen))
        # Before any work: a file without the named targets, or a host that nobody knows, is a mistake at once.
        body = _body(head, str(chosen or HEAD), {goal.suffix.lower() for goal in goals})
        sender = stack.enter_context(Sender(place)) if place is not None else None
        if given:
            track, spent, warnings = _join(source, given, progress or _silent)
            method, wait_ms = JOINED, 1000 * len(track) / COEFFICIENT_HZ
        else:
            assert source is not None
            model = load(method)
            take = None if manner is None else _manner(manner)
            speaker = voice(model, moods, take)
            told = listen(source, speaker.rows, speaker.rate, explain is not None, progress or _silent)
            track, spent = told.track if take is None else like(told.track, take), told.spent_s
            warnings, wait_ms = _useless(source, told, moods), speaker.look_ahead_ms
            if explain is not None and told.attention is not None:
                draw(Path(explain), told.attention, speaker.rate, int(model.dimensions["past"]))
        for goal in goals:
            _write(goal, track, body, head, source, str(chosen or HEAD), progress or _silent)
        sent = None
        if sender is not None:
            counts = send_track(track, sender, progress=progress)
            if counts.unheard:
                written = "; the files are written" if goals or explain is not None else ""
                raise OutputError(
                    f"--send {place}: nobody listened there; start the receiver first, or check host and port{written}"
                )
            sent = {"to": str(place), **asdict(counts)}
    return AnimateReport(
        out=(*goals, *((Path(explain),) if explain is not None else ())),
        seconds=len(track) / COEFFICIENT_HZ,
        rows=len(track),
        method=method,
        look_ahead_ms=wait_ms,
        real_time_factor=spent / max(len(track) / COEFFICIENT_HZ, 1e-6),
        sent=sent,
        warnings=(*warnings, *_warnings(sent)),
    )


def _silent(stage: str, done: int, total: int | None) -> None:
    """Progress that nobody asked for."""


def _check_modalities(speech: str | Path | None, given: Modalities, method: str, more: bool) -> None:
    if speech is None and not given:
        raise OptionError("nothing to hear, read or see: give SPEECH, --text or --mouth-video")
    if given and (method != METHODS[0] or more):
        raise OptionError(
            "--text and --mouth-video go with none of --method, --emotion, --style and --explain; leave those out"
        )


def _join(source: Path | None, given: Modalities, told: Progress) -> tuple[CoefficientTrack, float, tuple[str, ...]]:
    """The whole track from all modalities, seconds that the networks worked, and warnings."""
    samples = None
    if source is not None:
        samples = load_samples(source)
        damage.check(source, samples)
    joined = join(samples, given, Multimodal(threads=1), told)
    return joined.track(), joined.spent_s, joined.warnings


def _check(source: Path | None, goals: Sequence[Path], explain: Path | None, method: str, overwrite: bool) -> None:
    """Complain before any work is done."""
    for goal in goals:
        tracks.check_output(goal, overwrite, ENDINGS)
    if explain is not None:
        tracks.check_output(explain, overwrite, (".png",), "--explain")
        if method != "mouth":
            raise OptionError(
                f"--explain shows the attention of the model mouth, and {method} has none; --method mouth"
            )
    if any(goal.suffix.lower() == ".mp4" for goal in goals):
        from kouxing.infer.render import check

        check()
        credentials.check()
    for place, goal in enumerate(goals):
        if realpath(goal) in map(realpath, goals[:place]):
            raise OptionError(f"--out {goal}: the same file is named twice")
    if source is None:
        if any(goal.suffix.lower() == ".mp4" for goal in goals):
            raise OptionError("--out .mp4 is a preview with its sound; give SPEECH, or write .csv, .json or .glb")
        return
    found = probe(source)
    if not found.has_sound:
        raise NoSoundError(f"{source}: has no sound; give a file with speech")
    if found.sound_seconds is not None and found.sound_seconds > LONGEST_S:
        raise too_long(source)


def _manner(path: Path) -> CoefficientTrack:
    """The take of a person whose manner of speaking is wanted."""
    take = tracks.read(path)
    if not len(take):
        raise DataError(f"{path}: holds not a single frame; --style wants a take, best of 10 s or more")
    if take.time(len(take) - 1) - take.time(0) > LONGEST_S:
        raise too_long(path)
    return take.at()


@contextmanager
def _head(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        try:
            there = chosen.is_file()
        except PermissionError as error:
            raise MediaError(f"{chosen} cannot be read ({error.strerror}); change its folder's rights") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MediaError(f"{chosen} cannot be read ({reason}); --avatar wants a GLB") from error
        if not there:
            raise MediaError(f"{chosen}: no such file; --avatar wants a GLB with ARKit's morph targets")
        yield chosen
        return
    with as_file(files("kouxing") / "assets" / HEAD) as path:
        yield path


def _body(head: Path, name: str, endings: set[str]) -> bytes:
    """The avatar's file, where one is to be written or drawn; it is tried out.

    Raises:
        MediaError: unreadable, too large, or nothing to draw. DataError: no GLB, or without the named targets.
    """
    if not endings & SHOWN:
        return b""
    body = glb.content(head)
    still = CoefficientTrack(np.zeros((2, len(COEFFICIENTS)), np.float32))
    gltf.animate(body, still, name, source_type=SOURCE_TYPES + ALL_MADE)
    if ".mp4" in endings:
        morphs.load(head)
    return body


def _useless(source: Path, told: Listened, moods: Sequence[Mood]) -> tuple[str, ...]:
    """What was asked for and shows nowhere."""
    seconds = len(told.track) / COEFFICIENT_HZ
    notes = [] if told.spoken else [f"{source}: no speech is heard in it, the mouth stays closed"]
    late = [mood for mood in moods if mood.start_s >= seconds]
    notes += [f"--emotion {one.name}@{one.start_s:g}s: {source} ends at {seconds:.1f} s, before it" for one in late]
    return tuple(notes)


def _write(
    goal: Path, track: CoefficientTrack, body: bytes, head: Path, source: Path | None, name: str, told: Progress
) -> None:
    ending = goal.suffix.lower()
    if ending == ".glb":
        made = gltf.animate(body, track, name, source_type=SOURCE_TYPES + ALL_MADE)
        with aside(goal) as part:
            part.write_bytes(made)
    elif ending == ".mp4" and source is not None:
        from kouxing.infer.preview import preview

        preview(track, head, goal, source, lambda done, total: told("draw", done, total))
    else:
        tracks.write(track, goal)


def _warnings(sent: dict[str, Any] | None) -> tuple[str, ...]:
    if sent is None:
        return ()
    told = []
    if sent["refused"]:
        told.append(f"nobody listened at {sent['to']} for {sent['refused']} packets")
    if sent["late"] or sent["dropped"]:
        told.append(f"{sent['late']} frames were late and {sent['dropped']} were not taken by the system; left out")
    return tuple(told)
