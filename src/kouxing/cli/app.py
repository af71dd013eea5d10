"""The ``kouxing`` command: its subcommands, and how each way of failing leaves the process.

====  ==========================================================================
exit  meaning
====  ==========================================================================
0     done
1     a fault in the program: one line; ``KOUXING_TRACEBACK=1`` shows where
2     the user's mistake (option, file, face, disk): one line, what to do
130   Ctrl-C: one line, how to go on
====  ==========================================================================
"""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from kouxing import __version__
from kouxing.cli import animate, avatar, demo, dub, evaluate, fit, prepare, score, serve, track, train
from kouxing.errors import KouxingError

FAULT = 1
MISTAKE = 2
STOPPED = 130

RESUMABLE = {
    "dub": "the same command with --resume goes on where it stopped",
    "fit": "the same command with --resume goes on where it stopped",
    "prepare": "the same command goes on where it stopped",
    "score": "a job with --results goes on by the same command",
    "train": "the same command goes on from the last checkpoint",
}


class Stopped(Exception):
    """Ctrl-C, with the name of the command that it stopped."""


class Group(TyperGroup):
    """Keeps the command's name with Ctrl-C, which the parser would swallow."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Stopped(ctx.invoked_subcommand or "") from None


app = typer.Typer(
    name="kouxing",
    help="Make a face say what a voice says.",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kouxing {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and leave.", callback=_print_version, is_eager=True
    ),
) -> None:
    """Make a face say what a voice says."""


app.command("dub")(dub.command)
app.command("fit")(fit.command)
app.command("demo")(demo.command)
app.command("animate")(animate.command)
app.command("track")(track.command)
app.command("avatar")(avatar.command)
app.command("score")(score.command)
app.command("serve")(serve.command)
app.command("prepare")(prepare.command)
app.add_typer(train.app, name="train")
app.add_typer(evaluate.app, name="evaluate")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after ``kouxing``; the process's own by default.

    Returns:
        The exit code; see the table above.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # A daemon's may be closed; `print` would then write the one in place of the other.
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As standard error does: letters that an encoding lacks must not turn what was made into a fault.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = typer.main.get_command(app).main(args=words, prog_name="kouxing", standalone_mode=False)
    except Stopped as stop:
        return _stopped(str(stop))
    except KeyboardInterrupt:
        return _stopped(words[0] if words else "")
    except KouxingError as error:
        return _say(f"error: {error}", MISTAKE)
    except BrokenPipeError:
        # The reader of our output went away (`kouxing … | head`): nothing is left to say, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAULT
    except OSError as error:
        if isinstance(error, PermissionError) and error.filename is not None:
            return _say(f"error: {error.filename}: permission denied; change its rights or choose another", MISTAKE)
        if error.errno == errno.ENAMETOOLONG:
            return _say(f"error: {error.filename}: the name is too long for a file; choose a shorter one", MISTAKE)
        if error.errno == errno.ENOSPC and error.filename is None:
            # Outputs tell their own names; this one is where the report was to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return _say("error: standard output cannot be written: its disk is full; free some space", MISTAKE)
        return _fault(error)
    except Exception as error:  # noqa: BLE001 - the last stop: a fault must not show as a page of traceback
        if hasattr(error, "format_message"):
            return _usage(error)
        return _fault(error)
    return code if isinstance(code, int) else 0


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _say(line: str, code: int) -> int:
    with suppress(OSError):  # the disk that holds the log may be full
        print(f"kouxing: {' '.join(line.split())}", file=sys.stderr)
    return code


def _stopped(command: str) -> int:
    hint = RESUMABLE.get(command)
    return _say(f"stopped; {hint}" if hint else "stopped", STOPPED)


def _usage(error: Any) -> int:
    """The parser's complaint in one line; with nothing asked at all, the help that it carries."""
    text = str(error.format_message())
    if type(error).__name__ == "NoArgsIsHelpError":
        print(text or error.ctx.get_help())
        return MISTAKE
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "kouxing"
    return _say(f"error: {text.rstrip('.')}; see `{path} --help`", int(getattr(error, "exit_code", MISTAKE)))


def _fault(error: Exception) -> int:
    # The variable is read here and not through `config`, whose own check of the environment may be what failed.
    if os.environ.get("KOUXING_TRACEBACK", "") not in ("", "0"):
        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return _say(f"fault: {what} (KOUXING_TRACEBACK=1 shows where; please report it)", FAULT)
