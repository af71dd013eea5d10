"""What clients may ask for, checked: the hello and the events (docs/protocol.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kouxing.arkit import EMOTIONS
from kouxing.errors import OptionError
from kouxing.infer.emotion import emotion_at, read_mood
from kouxing.server.faces import Manner
from kouxing.server.protocol import MOST_EVENT_BYTES, VERSION, Refused, read_object
from kouxing.server.wish import Wish

Method = Literal["mouth", "expression"]
METHODS: tuple[str, ...] = get_args(Method)
"""Those of ``infer.animate`` that can be live."""
Output = Literal["coefficients", "sound", "body"]
Name = Annotated[str, Field(max_length=64)]
Mood = Annotated[str, Field(max_length=64)] | Annotated[list[Name], Field(max_length=len(EMOTIONS))]
Opening = Annotated[float, Field(ge=0, le=2)]


class _Wire(BaseModel):
    # Programs ignore what they do not know.
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Resume(_Wire):
    """Go on with a broken connection."""

    session: Name
    last: Annotated[int, Field(ge=0, lt=2**32)] = 0


class Hello(_Wire):
    """What a session is to be; also the body of ``POST /v1/sessions``."""

    kouxing: int = VERSION
    token: Annotated[str, Field(max_length=256)] | None = None
    method: Method | None = None
    emotion: Mood = ""
    mouth: Opening = 1.0
    output: Annotated[list[Output], Field(max_length=8)] = ["coefficients"]
    encoding: Literal["float32", "u16"] = "float32"
    rotations: bool = False
    language: Name = "en-us"
    idle: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    resume: Resume | None = None
    watch: Name | None = None


class End(_Wire):
    """No more sound for now."""

    event: Literal["end"]


class Interrupt(_Wire):
    """Stop speaking."""

    event: Literal["interrupt"]


class Bye(_Wire):
    """The session ends."""

    event: Literal["bye"]


class Say(_Wire):
    """Speak a text."""

    event: Literal["say"] = "say"
    text: str
    language: Name | None = None
    id: Name | None = None


class MoodEvent(_Wire):
    """Another mood or opening from now on."""

    event: Literal["mood"]
    emotion: Mood | None = None
    mouth: Opening | None = None


class Mix(_Wire):
    """Whose motion moves what."""

    event: Literal["mix"]
    rules: Annotated[str, Field(max_length=256)]


ClientEvent = Annotated[End | Interrupt | Bye | Say | MoodEvent | Mix, Field(discriminator="event")]
_EVENTS: TypeAdapter[Any] = TypeAdapter(ClientEvent)
_KNOWN = {"end", "interrupt", "bye", "say", "mood", "mix"}


def read_hello(text: str) -> Hello:
    """Read the first message.

    Raises:
        Refused: no JSON object, another version, or a value that may not be.
    """
    if len(text.encode(errors="replace")) > MOST_EVENT_BYTES:
        raise Refused("malformed", f"the hello has at most {MOST_EVENT_BYTES} bytes")
    told = read_object(text, "the hello")
    check_version(told.get("kouxing"))
    try:
        return Hello.model_validate(told)
    except ValidationError as error:
        raise Refused("malformed", f"hello: {reason(error)}") from None


def check_version(version: object) -> None:
    """The protocol's version, as a hello tells it.

    Raises:
        Refused: another one, or none.
    """
    if version is None:
        raise Refused("malformed", 'the hello names the protocol\'s version: {"kouxing": 1}')
    if version != VERSION or isinstance(version, bool):
        raise Refused("version", f"this server speaks protocol version {VERSION}")


def read_event(told: dict[str, Any]) -> Any:
    """A client's event; None for one that this version does not know.

    Raises:
        Refused: a value that may not be.
    """
    if told["event"] not in _KNOWN:
        return None
    try:
        return _EVENTS.validate_python(told)
    except ValidationError as error:
        raise Refused("malformed", f"event {told['event']}: {reason(error)}") from None


def reason(error: ValidationError) -> str:
    """The first fault in one line; what was sent is not repeated."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def shares(emotion: Mood, method: str) -> tuple[float, ...]:
    """``[7]`` shares of ``arkit.EMOTIONS``.

    Raises:
        Refused: no such emotion, or times are given; ``mouth`` knows none.
    """
    names = [emotion] if isinstance(emotion, str) else emotion
    asked = [name for name in names if name.strip()]
    if asked and method == "mouth":
        raise Refused("refused", "method mouth moves the mouth only; choose expression for emotions")
    try:
        moods = [read_mood(name) for name in asked]
    except OptionError as error:
        raise Refused("refused", str(error).replace("--emotion", "emotion")) from None
    if any("@" in name for name in asked):
        raise Refused("refused", "a live emotion holds from now on; leave the times out")
    return tuple(float(share) for share in emotion_at(moods, [0.0])[0])  # type: ignore[arg-type]


def wish_of(hello: Hello, method: str, seed: int) -> Wish:
    """What the session is to be.

    Args:
        hello: as it came. method: the server's own. seed: where none was asked for.

    Raises:
        Refused: an emotion that cannot be.
    """
    chosen = hello.method or method
    manner = Manner(
        shares(hello.emotion, chosen), hello.mouth, hello.idle, hello.seed if hello.seed is not None else seed
    )
    return Wish(chosen, manner, hello.language)
