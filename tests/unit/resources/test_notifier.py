"""Messages to a real web server and a real mail server; what fails is said, and no secret with it."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from pipelines.plant import Email, Notify
from resources.notifier import Notifier

LINES = ["pi1: 3 points have drifted", "over: группа g001 is behind"]


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    got: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path == "/broken" else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return None

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HOOK", f"http://127.0.0.1:{server.server_port}/secret-path")
        yield got
        server.shutdown()


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()

    def login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"ferry", b"hunter2secret"))

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(
        box, hostname="127.0.0.1", port=port, authenticator=login, auth_require_tls=False, auth_required=True
    )
    controller.start()
    yield box, port
    controller.stop()


def test_a_webhook_gets_text_for_people_and_fields_for_programs(webhook: list[dict[str, Any]]) -> None:
    assert Notifier("north", Notify(webhook_env="HOOK")).tell("trouble", LINES) == []
    text = "trouble\n- pi1: 3 points have drifted\n- over: группа g001 is behind"
    assert webhook == [{"text": text, "plant": "north", "subject": "trouble", "lines": LINES}]


def test_a_webhook_that_fails_is_said_without_its_url(
    webhook: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = Notifier("north", Notify(webhook_env="HOOK"))
    monkeypatch.setenv("HOOK", os.environ["HOOK"].replace("secret-path", "broken"))
    [answered] = notifier.tell("trouble", LINES)
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/secret-path")
    [away] = notifier.tell("trouble", LINES)
    monkeypatch.setenv("HOOK", "no url/secret-path")
    [wrong] = notifier.tell("trouble", LINES)
    monkeypatch.delenv("HOOK")
    [unset] = notifier.tell("trouble", LINES)
    assert "500" in answered
    assert "could not be reached" in away
    assert "HOOK" in wrong
    assert "not set" in unset
    assert not any("secret-path" in each for each in (answered, away, wrong, unset))


def test_mail_with_a_login(mail: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch) -> None:
    box, port = mail
    settings = Email(
        to=("night@plant.example", "day@plant.example"), sender="ferry@plant.example", smtp=f"127.0.0.1:{port}",
        tls="none", username="ferry", password_env="MAIL",
    )  # fmt: skip
    monkeypatch.setenv("MAIL", "hunter2secret")
    assert Notifier("north", Notify(email=settings)).tell("trouble", LINES) == []
    [got] = box.mails
    assert (got["Subject"], got["To"]) == ("trouble", "night@plant.example, day@plant.example")
    assert "over: группа g001 is behind" in got.get_content()


def test_mail_that_fails_is_said(mail: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch) -> None:
    box, port = mail
    given: dict[str, Any] = {"to": ("a@plant.example",), "sender": "f@plant.example"}
    monkeypatch.setenv("MAIL", "wrong")
    place = f"127.0.0.1:{port}"
    for settings in (
        Email(**given, smtp=place, tls="none", username="ferry", password_env="MAIL"),
        Email(**given, smtp=place),  # no STARTTLS there: nothing is sent in the clear
        Email(**given, smtp="127.0.0.1:1", tls="none"),
        Email(**given, smtp="127.0.0.1:port", tls="none"),
        Email(**given, smtp=place, tls="none", username="ferry", password_env="NOT_SET"),
    ):
        [problem] = Notifier("north", Notify(email=settings)).tell("trouble", LINES)
        assert settings.smtp in problem
    assert box.mails == []
