"""``prepare``: the steps in their order, each taken up where an earlier run was stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from kouxing import config, weights
from kouxing.data.manifest import MORE
from kouxing.errors import OptionError, OutputError, WeightError
from kouxing.face.landmarker import Landmarker, chosen
from kouxing.infer.given import paths
from kouxing.infer.prepare import summary, table
from kouxing.infer.prepare.crew import Crew
from kouxing.infer.prepare.find import footage, source_id
from kouxing.infer.prepare.plan import VERSION, Places, Settings, digest
from kouxing.infer.prepare.steps import MANIFEST, SHEET, Progress, Steps
from kouxing.media.aside import alone, output_errors

SHARES = "0.9/0.05/0.05"
SYNC_WEIGHTS = ("sync_mouth", "sync_speech")
SETTINGS = "settings.json"


@dataclass(frozen=True)
class PrepareReport:
    """What came out.

    Attributes:
        out: the data set's folder.
        files, footage_s: footage that could be read. clips, seconds: what is in the manifest.
        splits: clips of each split. rejects: what is left out by step and reason, such as ``3 (4.5 s)``.
        speed_x: seconds of footage by seconds of work, of what this run still had to do; None where that was nothing.
        sheet: a picture of some clips.
        warnings: what the user should know, a line each.
    """

    out: Path
    files: int
    footage_s: float
    clips: int
    seconds: float
    splits: dict[str, int]
    rejects: dict[str, str]
    speed_x: float | None
    sheet: Path
    warnings: tuple[str, ...]


def prepare(
    given: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    settings: Settings | None = None,
    info: str | Path | None = None,
    speaker: str | None = None,
    language: str | None = None,
    licence: str | None = None,
    corpus: str | None = None,
    split: str = SHARES,
    sync: bool = True,
    landmarker: str | Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> PrepareReport:
    """Make a data set of footage: clips of one face with sound, tracks, and a manifest.

    The same call goes on where a stopped one was; footage given beside the earlier is added. Files that cannot be used
    are rows of ``rejects.csv``; they stop nothing.

    Args:
        given: videos, and folders of videos.
        out: the data set's folder, made here or begun by an earlier call with the same settings.
        settings: lengths and qualities; the defaults where None.
        info: CSV with column ``file`` (name or path of a video, or the end of its path) and any of ``speaker``,
            ``language``, ``licence``, ``corpus``, ``source``, ``split``.
        speaker, language, licence, corpus: for files that ``info`` does not tell of.
        split: shares of train, val and test, ``"0.9/0.05/0.05"``; by speaker, or by file where nobody tells who it is.
        sync: measure offset and confidence of each clip with the sync discriminator.
        landmarker: MediaPipe's ``face_landmarker.task``, else ``KOUXING_LANDMARKER``, else our own coefficients.
        jobs: processes; the cores this process may use where None, 0 for none but this one. A script that uses
            processes calls this under ``if __name__ == "__main__":``, as they run it once more.
        progress: called with (stage, done, total).

    Raises:
        OptionError: an option is out of range, or the folder's data set has other settings.
        MediaError: there is no footage. DataError: no clip came out, or ``info`` is wrong.
        OutputError: the folder cannot be written, or holds something else.
        WeightError: weights are missing.
    """
    began = time.monotonic()
    shares = table.shares_of(split)
    if jobs is not None and jobs < 0:
        raise OptionError(f"--jobs {jobs}: give 0 or more processes")
    told = {"speaker": speaker, "language": language, "licence": licence, "corpus": corpus}
    about = table.read_about(None if info is None else Path(info), told)
    model = chosen(None if landmarker is None else Path(landmarker))
    wanted = settings or Settings()
    if model is not None:
        with Landmarker(model):  # says at once what is wrong with it
            wanted = Settings(**{**asdict(wanted), "landmarker": hashlib.sha256(model.read_bytes()).hexdigest()})
    weights_key = _sync_key() if sync else ""
    places = Places(Path(out))
    files = footage(paths(given), places.root)
    with ExitStack() as stack:
        stack.enter_context(alone(places.root))
        _begin(places, wanted)
        crew = stack.enter_context(Crew(config.cores() if jobs is None else jobs))
        run = Steps(places, wanted, crew, model, weights_key, progress)
        run.media(files)
        run.check(about, shares)
        run.faces()
        run.clips()
        if sync:
            run.sync()
        gone = sorted(run.listed() - {source_id(label) for label, _ in files})
        statistics = run.finish(about, shares)
    return _report(run, statistics, about.unused(files), gone, time.monotonic() - began)


def _sync_key() -> str:
    """What tells one discriminator from another.

    Raises:
        WeightError: there is none.
    """
    try:
        return digest(" ".join(weights.card(name)["sha256"] for name in SYNC_WEIGHTS))[:8]
    except WeightError as error:
        raise WeightError(f"{error}; or give --no-sync to leave offsets out") from error


def _begin(places: Places, settings: Settings) -> None:
    """Make the folders, or check that those there are of the same kind.

    Raises:
        OutputError: the folder cannot be written, or is something else. OptionError: it has other settings.
    """
    root, place = places.root, places.work / SETTINGS
    wanted = {"version": VERSION, **asdict(settings)}
    with output_errors(root):
        if root.exists() and not root.is_dir():
            raise OutputError(f"{root}: is a file; give a folder for the data set")
    known = table.read_json(place)
    if known is None and root.is_dir() and any(one.name != "prepare" for one in root.iterdir()):
        raise OutputError(f"{root}: is not empty and no data set that was begun here; choose another folder")
    if known is not None and known != wanted:
        keys = sorted(key for key in {*known, *wanted} if known.get(key) != wanted.get(key))
        what = ", ".join(f"{key} {known.get(key)!r}, not {wanted.get(key)!r}" for key in keys)
        raise OptionError(f"{root}: was begun with other settings ({what}); give the same ones or another folder")
    with output_errors(root):
        places.work.mkdir(parents=True, exist_ok=True)
    if known is None:
        # First of all, so that a folder that was hardly begun is known again.
        table.write_json(place, wanted)
    with output_errors(root):
        for folder in (root / "clips", root / "tracks", *(places.step(n) for n in ("media", "sound", "faces", "cut"))):
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob("*.part*"):
                left.unlink(missing_ok=True)


def _report(run: Steps, made: summary.Statistics, unused: list[str], gone: list[str], took_s: float) -> PrepareReport:
    figures = made.told()
    splits = {name: one["clips"] for name, one in figures["splits"].items()}
    warnings = [f"no clip is in split {name}; {MORE}" for name in table.SPLIT_NAMES if name not in splits]
    if made.faults:
        warnings.append(f"{len(made.faults)} parts met a fault in the program, e.g. {made.faults[0]}")
    if unused:
        warnings.append(f"--info tells of {len(unused)} files that are not among the footage, e.g. {unused[0]}")
    root = run.places.root
    if gone:
        warnings.append(
            f"{len(gone)} files that {root} was made of are not among the footage now, e.g. that of {gone[0]}*: their "
            f"clips stay, but {MANIFEST} lists them no longer; give all footage together"
        )
    return PrepareReport(
        out=root,
        files=len(run.all),
        footage_s=figures["footage_seconds"],
        clips=figures["clips"],
        seconds=figures["seconds"],
        splits=splits,
        rejects={key: f"{one['parts']} ({one['seconds']:.1f} s)" for key, one in figures["rejects"].items()},
        speed_x=run.worked_s / max(took_s, 1e-6) if run.worked_s else None,
        sheet=root / SHEET,
        warnings=tuple(warnings),
    )
