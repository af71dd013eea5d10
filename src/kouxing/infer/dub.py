"""Dub: the same footage says other speech. One pass follows the face, a second one paints; both can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from kouxing import __version__, config
from kouxing.audio import damage
from kouxing.errors import KouxingError, MediaError, NoFaceError, NoSoundError, NoVideoError, OptionError, OutputError
from kouxing.face import geometry
from kouxing.infer import level, multimodal_dub, references, timeline
from kouxing.infer import person as persons
from kouxing.infer.job import Job, fingerprint
from kouxing.infer.multimodal_animate import Modalities
from kouxing.infer.order import DubReport, Order
from kouxing.infer.paint import Cast, LipsModel, Painted, Painter, cast, crop_of
from kouxing.infer.parts import Parts, shipped
from kouxing.infer.pipeline import Beside, ahead, beside, side_by_side
from kouxing.infer.references import References
from kouxing.infer.scan import Progress, Scan, queue_depth, scan
from kouxing.infer.source import Footage
from kouxing.infer.speech import Speech, hear
from kouxing.infer.timeline import Timeline
from kouxing.media import credentials
from kouxing.media.aside import alone, output_errors
from kouxing.media.join import join
from kouxing.media.reader import MediaInfo, probe, read_sound
from kouxing.media.writer import VideoWriter
from kouxing.types import Bytes, Float, VideoFrame
from kouxing.units import FRAME_HZ, SAMPLE_HZ

SEGMENT_S = Fraction(10)
"""Length of the pieces that are written one by one: what a killed job loses at most."""

RATE_ERROR = 0.02
"""Share by which the rate that a file tells may differ from that of its frames' times."""

SCANNED_S = Fraction(60)
"""So much of longer footage is looked at in any case, so that there are references to choose from."""

MOST_WORKERS = 4
"""Frames painted at the same time, where there are as many cores: beyond that decoding and encoding hold things up."""

FEW_CORES = 2
"""On so many, painting takes all of their time."""

ENCODING: dict[str, dict[str, Any]] = {
    "fast": {
        "preset": "superfast",
        "crf": 20,
        "more": {"aq-mode": "none", "partitions": "none", "coder": "vlc", "weightp": "none", "sc_threshold": "0"},
    },
    "fine": {"preset": "veryfast", "crf": 18},
}
"""How x264 works for each preset. The faster way takes less than half of the time, within half a decibel of the other
(docs/log.md)."""

CUT_TOLD_S = 0.1
"""Sound tracks end with the coder's last block, up to .09 s behind what was said: that is no speech."""

SMALL_FACE_PX = 64
"""Faces narrower than this show little of a mouth."""

VOICES = ("own", "other")
"""Whose voice speaks for a person of ``fit``."""

SPEECH = "speech.npz"
REFERENCES = "references.npz"
JOINED = "joined.mp4"


def dub(
    face: str | Path,
    speech: str | Path,
    out: str | Path,
    *,
    mouth: float | str = 1.0,
    face_index: int = 0,
    length: str = "video",
    preset: str = "fast",
    person: str | Path | None = None,
    voice: str = VOICES[0],
    text: str | Path | None = None,
    language: str | None = None,
    mouth_video: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    parts: Parts | None = None,
) -> DubReport:
    """Write ``face`` saying ``speech``. Only the mouth region changes; the sound is the speech, never re-timed.

    Memory stays constant, whatever the length. Work is kept in ``<out>.job`` until the output is whole: a job that was
    killed or stopped goes on with ``resume=True``. The output appears at once when it is done, never in part.

    Args:
        face: video or picture of the person.
        speech: sound, or a video whose sound is taken.
        out: the MP4 to write: frame rate, times, size and colour format of ``face``.
        mouth: opening coefficient, 0..3: 1 as spoken, more is wider; ``auto``: quiet or mumbled speech opens the mouth
            like clear speech (``infer.level``).
        face_index: which face, 0 = the largest of the first frame that shows any.
        length: ``video``: as the video (more speech is cut, after less speech the mouth rests); ``speech``: as the
            speech (more video is cut, the last frame of less video is held); ``loop``: as the speech, the video running
            to and fro. A picture always lasts as long as the speech, at 25 fps.
        preset: ``fast`` or ``fine``.
        person: file of ``fit`` (.kx), fitted for the same preset: its numbers in place of the shipped ones.
        voice: whose voice says it: ``own``, the person's, whose manner of speaking the file holds, or ``other``.
        text: what is said, or a transcript file: with it noisy or broken speech still moves the mouth.
        language: espeak-ng's name of the text's language; English (``en``) by default.
        mouth_video: a face saying the same speech: its lips are followed.
        resume: go on with the unfinished job of the same inputs and options; without one, start.
        overwrite: replace ``out`` if it is there.
        progress: called with (stage, done, total or None); stages are ``look`` (of a mouth video), ``listen`` (told of
            where it is not done beside the next), ``scan``, ``paint``, ``join``.
        parts: other pieces than the shipped ones.

    Raises:
        OptionError: an option is out of range, or the unfinished job is another one.
        MediaError: an input cannot be read; NoVideoError, NoSoundError where it has no picture, no sound.
        NoFaceError: the footage does not show the face.
        OutputError: ``out`` cannot be written, is there already, or the disk is full.
        WeightError: weights or the person file are missing or damaged.
        DataError: the text's file is missing or not what its ending says.
    """
    began = time.monotonic()
    order = Order(Path(face), Path(speech), Path(out), mouth, face_index, length, preset)
    given = Modalities.of(text, language, mouth_video)
    fitted = None if person is None else Path(person)
    order.check_out(overwrite or (resume and Job.made(order.out)), given.mouth_video, fitted)
    credentials.check()
    parts = parts or _parts(fitted, preset, voice)
    plan = {
        "face": fingerprint(order.face),
        "speech": fingerprint(order.speech),
        "mouth": order.mouth,
        "face_index": order.face_index,
        "length": length,
        "preset": preset,
        # Pieces of two kinds do not go into one file.
        "encoding": ENCODING[preset],
        "weights": parts.identity(preset),
        "program": __version__,
        **multimodal_dub.plan_of(given),
    }
    info = probe(order.face)
    if not info.has_video:
        raise NoVideoError(f"{order.face}: has no picture; give a video or a photo of a face")
    if not probe(order.speech).has_sound:
        raise NoSoundError(f"{order.speech}: has no sound; give a file with speech")
    lips = parts.lips(preset)
    with alone(order.out):
        job = Job.open(order.out, plan, resume)
        try:
            run = _Run(order, info, job, parts, lips, progress or _silent, given)
            if given and fitted is not None and voice == VOICES[0]:
                run.warn(f"{fitted}: its manner of speaking is left out; text and mouth video tell how the mouth moves")
            elif fitted is not None and voice == VOICES[0] and persons.load(fitted).deaf:
                run.warn(f"{fitted}: its manner of speaking is left out, it was learnt with other weights; fit it anew")
            return run(began)
        except OutputError as error:
            raise OutputError(f"{error}; the same command with --resume then goes on") from error
        except KouxingError as error:
            if type(error) is MediaError and job.has(_segment(0)):
                # A disk that was unplugged, or a share that went: what is painted is worth keeping.
                raise MediaError(f"{error}; when that is mended, the same command with --resume goes on") from error
            # A mistake in the input: going on later would fail in the same place.
            job.remove()
            raise


def _parts(path: Path | None, preset: str, voice: str) -> Parts:
    """The shipped pieces, with a person's numbers where one is given."""
    if voice not in VOICES:
        raise OptionError(f"--voice {voice}: choose one of {', '.join(VOICES)}")
    if path is None:
        if voice != VOICES[0]:
            raise OptionError(f"--voice {voice}: goes with --person; give the person file too, or leave it out")
        return shipped()
    person = persons.load(path)
    persons.check_preset(path, person, preset)
    return shipped(person, voice == VOICES[0])


def _silent(stage: str, done: int, total: int | None) -> None:
    """Progress that nobody asked for."""


def _nothing() -> None:
    """No other work to look after."""


class _Run:
    """One job from its inputs to its output; each step is kept in the job's folder or quickly made again."""

    def __init__(
        self, order: Order, info: MediaInfo, job: Job, parts: Parts, lips: LipsModel, told: Progress,
        given: Modalities = Modalities(),
    ) -> None:  # fmt: skip
        self._order = order
        self._info = info
        self._job = job
        self._parts = parts
        self._lips = lips
        self._told = told
        self._given = given
        self._footage = Footage(order.face, info.is_picture)
        self._warnings: list[str] = []

    def warn(self, line: str) -> None:
        """What the user should know, in the report."""
        self._warnings.append(line)

    def __call__(self, began: float) -> DubReport:
        words, seen = self._take_in()
        rate = self._rate(seen)
        people = cast(seen.track, float(rate))
        line = self._lay_out(seen, rate, words)
        self._lips.set_references(self._references(seen, people))
        wide = _coefficients(words, self._order.mouth)
        features = geometry.scaled(words.features, wide)
        painter = Painter(self._lips, self._parts.paste, people, line, features, 1.0)
        painted = self._paint(seen, line, painter, rate)
        self._join(line)
        dubbed = int(people.present[line.source].sum())
        passed = len(line) - dubbed
        if passed:
            self._warnings.append(f"{passed} of {len(line)} frames do not show the face and were left as they are")
        return DubReport(
            out=self._order.out,
            seconds=float(line.seconds),
            frames=len(line),
            dubbed_frames=dubbed,
            passed_frames=passed,
            fps=painted / max(time.monotonic() - began, 1e-6),
            preset=self._order.preset,
            mouth=self._order.mouth,
            opening=float(wide[~words.silent].mean() if not words.silent.all() else wide.mean()),
            length="speech" if len(seen) == 1 else self._order.length,
            warnings=tuple(self._warnings),
        )

    def _take_in(self) -> tuple[Speech, Scan]:
        """Hear the speech and follow the face: side by side where that does not depend on how long the speech is."""
        if self._order.length != "video" or self._info.is_picture or self._given or self._job.has(SPEECH):
            words = self._listen(self._told)
            return words, self._scan(words.seconds, _nothing)

        def listened(work: Beside[Speech]) -> Speech:
            return self._heard(work.tell)

        with beside(listened) as work:
            seen = self._scan(None, work.check)
            # One stage is told of at a time, and following the face mostly takes longer.
            words = work.result(self._told)
        self._keep(words)
        return self._kept(), seen

    def _listen(self, told: Progress) -> Speech:
        """Features of the speech, kept in the job."""
        if not self._job.has(SPEECH):
            words, notes = self._joined(told) if self._given else (self._heard(told), ())
            self._keep(words, notes)
        return self._kept()

    def _keep(self, words: Speech, notes: Sequence[str] = ()) -> None:
        """Into the job."""
        if not words.seconds:
            raise NoSoundError(f"{self._order.speech}: its sound is 0 s long; give a file with speech")
        arrays = {"features": words.features, "silent": words.silent, "notes": np.array(notes, str)}
        self._job.save_arrays(SPEECH, {**arrays, "seconds": np.array(words.seconds.as_integer_ratio())})

    def _kept(self) -> Speech:
        """What the job has of the speech."""
        path = self._order.speech
        kept = self._job.load_arrays(SPEECH)
        seconds = Fraction(*(int(part) for part in kept["seconds"]))
        self._warnings += kept["notes"].tolist()
        if kept["silent"].all():
            self._warnings.append(f"{path}: no speech is heard in it, the mouth stays closed")
        return Speech(kept["features"], kept["silent"], seconds)

    def _heard(self, told: Progress) -> Speech:
        """By the speech encoder alone."""
        path = self._order.speech
        total = probe(path).sound_seconds
        samples = None if total is None else int(total * SAMPLE_HZ)
        sound: Iterable[Float] = damage.checked(path, read_sound(path, SAMPLE_HZ))
        if self._order.mouth == level.AUTO:
            sound = level.raised(sound, level.gain(level.measured(damage.checked(path, read_sound(path, SAMPLE_HZ)))))
        return hear(sound, self._parts.speech(), lambda done: told("listen", done, samples and max(samples, done)))

    def _joined(self, told: Progress) -> tuple[Speech, tuple[str, ...]]:
        """With a text, a mouth video or both; and what the user should know."""
        return multimodal_dub.listen(self._order.speech, self._given, told, self._order.mouth == level.AUTO)

    def _scan(self, speech_seconds: Fraction | None, check: Callable[[], None]) -> Scan:
        """Follow the face, in no more of the footage than the output can need.

        Args:
            speech_seconds: None where it is not known yet, and does not matter.
            check: called after each frame; what it raises ends the scan.
        """
        order, info = self._order, self._info
        limit = None if order.length == "video" or speech_seconds is None else max(speech_seconds, SCANNED_S)
        total = 1 if info.is_picture else None
        if total is None and info.rate and info.seconds:
            total = round(min(info.seconds, limit or info.seconds) * info.rate)
        tracker = self._parts.tracker

        def followed(done: int) -> None:
            check()
            self._told("scan", done, max(total, done) if total else None)

        seen = scan(self._job, self._footage, lambda: tracker(order.face_index), limit, followed)
        self._told("scan", len(seen), len(seen))
        if not seen.track.found.any():
            which = f"face {order.face_index} of those counted from 0" if order.face_index else "face"
            raise NoFaceError(f"{order.face}: shows no {which}; give footage that shows it from the front")
        return seen

    def _rate(self, seen: Scan) -> Fraction:
        """Average frames per second: as the file tells, where its frames agree with that."""
        if len(seen) == 1:
            return Fraction(FRAME_HZ)
        told, counted = self._info.rate, (len(seen) - 1) / (int(seen.pts[-1]) * seen.time_base)
        return told if told is not None and abs(told - counted) <= RATE_ERROR * counted else counted

    def _lay_out(self, seen: Scan, rate: Fraction, words: Speech) -> Timeline:
        """The timeline, and what the user should know about lengths."""
        order = self._order
        if self._info.scaled:
            size = "x".join(map(str, seen.size_px))
            self._warnings.append(f"{order.face}: larger than video players take, and made {size}")
        if self._info.interlaced:
            self._warnings.append(
                f"{order.face}: is interlaced, and comes out as progressive with both fields in each picture; "
                "deinterlace it first (ffmpeg -vf bwdif)"
            )
        if len(seen) == 1:
            return timeline.plan_picture(words.seconds)
        last = timeline.last_ticks(seen.pts, seen.time_base, rate, self._info.seconds)
        line = timeline.plan(seen.pts, seen.time_base, last, words.seconds, order.length)
        over = float(words.seconds - line.seconds)
        if over > CUT_TOLD_S:
            self._warnings.append(
                f"the speech is {over:.1f} s longer than the video and was cut; --length speech or loop keeps all of it"
            )
        return line

    def _references(self, seen: Scan, people: Cast) -> References:
        """The chosen frames, kept in the job."""
        width = float(np.nanmedian(references.face_width(seen.track.anchors)))
        if width < SMALL_FACE_PX:
            self._warnings.append(f"the face is only {width:.0f} px wide: its mouth stays soft")
        if not self._job.has(REFERENCES):
            chosen = references.choose(people.track, people.present, seen.sharp)
            # Each is sought and decoded from a key frame on, which takes one core.
            work = side_by_side(chosen, lambda frame: self._crop(seen, people, frame), config.load().threads)
            crops = np.stack(list(work))
            made = references.gather(people.track, people.matrices, chosen, crops)
            self._job.save_arrays(REFERENCES, {**vars(made), "frames": np.array(chosen)})
        kept = self._job.load_arrays(REFERENCES)
        return References(kept["crops"], kept["geometry"], kept["anchors"])

    def _crop(self, seen: Scan, people: Cast, frame: int) -> Bytes:
        with closing(self._footage.read_from(int(seen.pts[frame]), seen.time_base)) as frames:
            return crop_of(next(frames), people.matrices[frame])

    def _paint(self, seen: Scan, line: Timeline, painter: Painter, rate: Fraction) -> int:
        """Write the segments that are missing; the number of frames painted now.

        Decoding, painting (several frames at a time), pasting and encoding run side by side, also across segments.
        """
        pieces = line.segments(SEGMENT_S)
        kept = (self._job.has(_segment(n)) and self._job.has(_seam(n)) for n in range(len(pieces)))
        done = next((n for n, whole in enumerate(kept) if not whole), len(pieces))
        if done == len(pieces):
            return 0
        first = pieces[done][0]
        if done:
            painter.seam.plane = self._job.load_arrays(_seam(done - 1)).get("plane")
        depth = queue_depth(seen.bytes_each)
        frames = self._footage.shown(seen.pts, seen.time_base, line.source[first:], seen.bytes_each)
        like = replace(self._info, width=seen.size_px[0], height=seen.size_px[1])
        how = ENCODING[self._order.preset]
        with ExitStack() as stack:
            decoded = stack.enter_context(closing(ahead(frames, depth)))
            workers = min(config.load().threads, MOST_WORKERS)
            # So few cores are painting all the time: threads of the encoder's own would only take turns with that.
            how = {**how, "threads": 1 if workers <= FEW_CORES else 0}
            work = side_by_side(zip(count(first), decoded), painter.paint, workers, depth)
            painted = stack.enter_context(closing(work))
            pasted = stack.enter_context(closing(ahead(_put_back(painter, painted), depth)))
            for number, (start, stop) in enumerate(pieces[done:], done):
                place = self._job.place(_segment(number))
                with VideoWriter(place, like=like, rate=rate, time_base=line.time_base, **how) as video:
                    for frame in range(start, stop):
                        made, plane = next(pasted)
                        video.write(made)
                        self._told("paint", frame + 1, len(line))
                    # Kept before the segment gets its name: a finished segment always has it.
                    self._job.save_arrays(_seam(number), {} if plane is None else {"plane": plane})
        return len(line) - first

    def _join(self, line: Timeline) -> None:
        """Segments and sound into the output, which appears whole and marked as synthetic."""
        out, joined = self._order.out, self._job.place(JOINED)
        pieces = [self._job.place(_segment(number)) for number in range(len(line.segments(SEGMENT_S)))]
        self._told("join", 0, 1)
        join(pieces, joined, sound=self._order.speech, seconds=line.seconds, mark=True, title=out.name)
        self._job.tell_made(joined)
        with output_errors(out):
            joined.replace(out)
        self._job.remove()
        self._told("join", 1, 1)


def _coefficients(words: Speech, mouth: float | str) -> Float:
    """Mouth-opening coefficient of each frame of the speech, ``[L]``."""
    if mouth == level.AUTO:
        return level.coefficients(words.features, words.silent)
    return np.full(len(words.features), mouth, np.float32)


def _put_back(painter: Painter, painted: Iterable[Painted]) -> Generator[tuple[VideoFrame, Float | None], None, None]:
    """Finished frames, each with the seam's colour after it."""
    for made in painted:
        yield painter.put_back(made), painter.seam.plane


def _seam(number: int) -> str:
    return f"seam-{number:05d}.npz"


def _segment(number: int) -> str:
    return f"segment-{number:05d}.mp4"
