"""Tells people: a JSON POST to a webhook, and mail. What cannot be told is said to the caller, never raised."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage

import httpx

from pipelines.plant import Email, Notify, secret
from pipelines.ports import Stop

_PATIENCE_S = 10.0


class Notifier:
    """Of one plant."""

    def __init__(self, plant: str, settings: Notify) -> None:
        self._plant, self._settings = plant, settings

    def tell(self, subject: str, lines: list[str]) -> list[str]:
        """Sends one message each way; returns what went wrong, one sentence each."""
        problems = []
        if self._settings.webhook_env:
            problems.append(self._post(subject, lines))
        if self._settings.email:
            problems.append(self._mail(self._settings.email, subject, lines))
        return [problem for problem in problems if problem]

    def _post(self, subject: str, lines: list[str]) -> str:
        """`text` is what Slack, Teams and Mattermost show; the rest is for programs."""
        text = "\n".join([subject, *(f"- {line}" for line in lines)])
        body = {"text": text, "plant": self._plant, "subject": subject, "lines": lines}
        try:
            url = secret(self._settings.webhook_env)
            answer = httpx.post(url, json=body, timeout=_PATIENCE_S)
        except Stop as error:
            return str(error)
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # its text may hold the URL
            return f"the webhook of {self._settings.webhook_env} could not be reached ({type(error).__name__})"
        return "" if answer.is_success else f"the webhook of {self._settings.webhook_env} answered {answer.status_code}"

    def _mail(self, settings: Email, subject: str, lines: list[str]) -> str:
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = subject, settings.sender, ", ".join(settings.to)
        message.set_content("\n".join([*lines, "", f"Historian Ferry, plant {self._plant}"]))
        host, _, port = settings.smtp.partition(":")
        try:
            password = secret(settings.password_env) if settings.password_env else ""
            trust = ssl.create_default_context()
            if settings.tls == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(host, int(port or 465), timeout=_PATIENCE_S, context=trust)
            else:
                server = smtplib.SMTP(host, int(port or 25), timeout=_PATIENCE_S)
            with server:
                if settings.tls == "starttls":
                    server.starttls(context=trust)
                if settings.username:
                    server.login(settings.username, password)
                server.send_message(message)
        except (Stop, OSError, ValueError, smtplib.SMTPException) as error:
            return f"mail over {settings.smtp} failed: {error}"
        return ""
