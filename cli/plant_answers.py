"""The answers that a plant file is made of: given as options, assumed, or asked for at a terminal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from cli.options import Moment

LOGINS = {
    "pi_web_api": ("basic", "bearer", "kerberos", "ntlm", "none"),
    "wonderware": ("basic",),
    "opcua": ("none", "basic"),
}
_NAMES = {"pi_web_api": "pi1", "wonderware": "historian1", "opcua": "opcua1"}
WITH_PASSWORD = frozenset({"basic", "ntlm"})
_WORD = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of the plant; '' and None are yet to be asked."""

    kind: str = ""
    address: str = ""
    name: str = ""
    source: str = ""
    auth: str = ""
    username: str = ""
    password_env: str = ""
    token_env: str = ""
    token_url: str = ""
    client_id: str = ""
    client_secret_env: str = ""
    data_server: str | None = None
    points: tuple[str, ...] = ()
    start_ns: int | None = None
    ca_file: str = ""
    tls: bool = True

    @property
    def secret_env(self) -> str:
        """The environment variable that holds the secret; '' where there is none."""
        if self.auth == "bearer":
            return self.client_secret_env if self.token_url else self.token_env
        return self.password_env if self.auth in WITH_PASSWORD else ""


def assumed(answers: Answers, path: Path) -> Answers:
    """The answers with defaults. Raises Stop naming the options that are needed where nobody can be asked."""
    from pipelines.ports import Stop

    lacking = [f"--{name}" for name in ("kind", "address") if not getattr(answers, name)]
    if lacking:
        raise Stop(f"{' and '.join(lacking)} must be given: this is no terminal at which somebody could be asked")
    auth = answers.auth or (
        "basic" if answers.username else "bearer" if answers.token_env or answers.token_url else "none"
    )
    return _named(replace(answers, auth=auth), path)


def _named(answers: Answers, path: Path) -> Answers:
    """With everything that has a default."""
    from pipelines.timeline import parse

    source = answers.source or _NAMES[answers.kind]
    variable = source.upper()
    start_ns = answers.start_ns
    return replace(
        answers,
        name=answers.name or _word(path.absolute().parent.name),
        source=source,
        password_env=answers.password_env or f"{variable}_PASSWORD",
        token_env=answers.token_env or f"{variable}_TOKEN",
        client_secret_env=answers.client_secret_env or f"{variable}_SECRET",
        data_server=answers.data_server or "",
        points=answers.points or ("*",),
        start_ns=parse(f"{time.gmtime().tm_year - 1}-01-01T00:00:00Z") if start_ns is None else start_ns,
    )


def asked(answers: Answers, path: Path) -> Answers:
    """The answers with what a person at the terminal says; a default is taken with Enter."""
    from pipelines.plant import PLACES
    from pipelines.timeline import iso

    kind = answers.kind or _question("Kind of historian", "pi_web_api", click.Choice(list(LOGINS)))
    key, like = PLACES[kind]
    address = answers.address or _question(f"Its {key}, such as {like}")
    auth = answers.auth or _question("Login", LOGINS[kind][0], click.Choice(LOGINS[kind]))
    usual = _named(replace(answers, kind=kind, address=address, auth=auth), path)
    name = answers.name or _question("Name of the plant", usual.name, check=_word_only)
    source = answers.source or _question("Name of the source", usual.source, check=_word_only)
    usual = _named(replace(answers, kind=kind, address=address, auth=auth, name=name, source=source), path)
    if auth in WITH_PASSWORD:
        usual = replace(
            usual,
            username=answers.username or _question("User name"),
            password_env=answers.password_env or _question("Environment variable of its password", usual.password_env),
        )
    if auth == "bearer":
        usual = _token_asked(answers, usual)
    if kind == "pi_web_api" and answers.data_server is None:
        usual = replace(usual, data_server=_question("Data server (Enter: the only one)", ""))
    if not answers.points:
        usual = replace(usual, points=tuple(_question("Points, globs with spaces between", "*").split()))
    if answers.start_ns is None:
        assert usual.start_ns is not None
        usual = replace(usual, start_ns=_question("History from when on", iso(usual.start_ns), Moment()))
    return usual


def _token_asked(answers: Answers, usual: Answers) -> Answers:
    """With where tokens come from: a token endpoint, or somebody who puts one into the environment."""
    if answers.token_env:
        return usual
    token_url = answers.token_url or _question("Token endpoint (Enter: a token of your own)", "")
    if not token_url:
        return replace(usual, token_env=_question("Environment variable of the token", usual.token_env))
    variable = answers.client_secret_env
    return replace(
        usual,
        token_url=token_url,
        client_id=answers.client_id or _question("Client id"),
        client_secret_env=variable or _question("Environment variable of its secret", usual.client_secret_env),
    )


def forgotten(answers: Answers) -> Answers:
    """What is asked again after the server refused: who and where, not what it is called."""
    return replace(
        answers,
        address="",
        auth="",
        username="",
        password_env="",
        token_env="",
        token_url="",
        client_id="",
        client_secret_env="",
        data_server=None,
        points=(),
    )


def _question(
    text: str, default: str | None = None, kind: Any = None, check: Callable[[str], str] | None = None
) -> Any:
    return click.prompt(text, default=default, type=kind, value_proc=check, err=True)


def _word_only(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise click.UsageError("a word of lower-case letters, digits and _ that begins with a letter")
    return text


def _word(text: str) -> str:
    """A name for a plant out of a folder's."""
    made = re.sub(r"[^a-z0-9_]+", "_", text.casefold()).strip("_")[:63]
    return made if _WORD.fullmatch(made) else "plant"
