"""How a command ends: its exit code, and one clear message for every way to fail."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable

import click

PROVED = 0
UNPROVED = 1
MISUSE = 2
UNREACHABLE = 3
NO_ROOM = 4
INTERRUPTED = 130

STOPPED = "stopped. Nothing is lost and nothing counts that was not proved: the same command goes on from there"
_URL_LOGIN = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_HIDDEN = "•••"
_PORTS, _SERVERS = "pipelines.ports", "resources.embedded.errors"
_SECRET_LENGTH_MIN = 4
"""Shorter values would blacken half of a message and guard nothing."""


def code_of(error: BaseException) -> int:
    """The exit code that an error means (docs/design: 2 a person must act, 3 unreachable, 4 no room, 1 the rest)."""
    if isinstance(error, BaseExceptionGroup):
        return max((code_of(each) for each in error.exceptions), default=UNPROVED)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        return MISUSE
    if isinstance(error, PermissionError):  # another user's files: somebody must run it as that user, or give rights
        return MISUSE
    return _code_of_ours(_meant(error))


def message_of(error: BaseException) -> str:
    """What a person reads: the product's errors as they are, foreign ones with their class."""
    match error:
        case BaseExceptionGroup():
            message = message_of(max(error.exceptions, key=code_of))
        case KeyboardInterrupt() | click.Abort():
            message = STOPPED
        case click.ClickException():
            message = error.format_message()
        case PermissionError():
            message = f"{error.filename or 'a file'}: {error.strerror or 'permission denied'}; it is another user's"
        case _:
            error = _meant(error)
            foreign = f"unexpected {type(error).__name__}: {error} (FERRY_DEBUG=1 shows where)"
            message = str(error) if _is_ours(error) else foreign
    return message


def trace_of(error: BaseException) -> str:
    """The traceback, for FERRY_DEBUG=1."""
    return "".join(traceback.format_exception(error))


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with every given secret, and every login inside of a URL, made illegible."""
    for word in sorted({each for each in secrets if len(each) >= _SECRET_LENGTH_MIN}, key=len, reverse=True):
        text = text.replace(word, _HIDDEN)
    return _URL_LOGIN.sub(_HIDDEN, text)


def _meant(error: BaseException) -> BaseException:
    """The error of ours that a library's error is, or is made of: a full disk, a server that is away."""
    if _is_ours(error):
        return error
    from resources.foreign import meaning_of

    return meaning_of(error) or error


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, (*_loaded(_PORTS, "FerryError"), *_loaded(_SERVERS, "ServerNotReady")))


def _code_of_ours(error: BaseException) -> int:
    if isinstance(error, (*_loaded(_PORTS, "NoRoom"), *_loaded(_SERVERS, "NoRoom"))):
        return NO_ROOM
    if isinstance(error, (*_loaded(_PORTS, "Unreachable"), *_loaded(_SERVERS, "ServerNotReady"))):
        return UNREACHABLE
    return MISUSE if isinstance(error, _loaded(_PORTS, "Stop")) else UNPROVED


def _loaded(module: str, name: str) -> tuple[type[BaseException], ...]:
    """The error class, or nothing when its module was never loaded: then no error can be one, and a wrong option is
    answered without loading everything."""
    there = sys.modules.get(module)
    return (getattr(there, name),) if there else ()
