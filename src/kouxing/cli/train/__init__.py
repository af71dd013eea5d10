"""``kouxing train``: the recipes behind the shipped weights, one file a network."""

from __future__ import annotations

import typer

from kouxing.cli.train import coefficients, expression, front, lipreader, lips, mouth, multimodal, speech, sync

app = typer.Typer(help="Train a network; needs kouxing[train].", no_args_is_help=True, rich_markup_mode=None)
app.command("speech")(speech.speech)
app.command("ears")(speech.ears)
app.command("front")(front.front)
app.command("coefficients")(coefficients.coefficients)
app.command("lips")(lips.lips)
app.command("sync")(sync.sync)
app.command("lipreader")(lipreader.lipreader)
app.command("judges")(sync.judges)
app.command("mouth")(mouth.mouth)
app.command("expression")(expression.expression)
app.command("multimodal")(multimodal.multimodal)
