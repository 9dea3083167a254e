"""Checks of the doctor about logins to a PI Web API: optional packages, and whose certificates are believed."""

from __future__ import annotations

import datetime as dt
import importlib.util
from collections.abc import Iterator

from cli import outcome
from cli.findings import Finding
from pipelines.plant import Plant, SourceSettings
from resources.certificates import described, fingerprint, load
from resources.pi_web_api.trust import Trust

_EXTRAS = {"kerberos": "httpx_gssapi", "ntlm": "httpx_ntlm"}
_NO_TIME, _SOON = dt.timedelta(0), dt.timedelta(days=30)


def extras(plant: Plant) -> Iterator[Finding]:
    """Whether the packages are there that some logins need."""
    for source in plant.source:
        module = _EXTRAS.get(source.auth.kind)
        if module is None:
            continue
        name = f"{source.auth.kind} login of {source.name}"
        if importlib.util.find_spec(module):
            yield Finding(name, f"{module} is there")
        else:
            advice = f"pip install 'historian-ferry[{source.auth.kind}]'"
            yield Finding(name, f"{module} is missing", advice, outcome.MISUSE)


def certificates(plant: Plant, settings: SourceSettings, url: str) -> Iterator[Finding]:
    """Who vouches for the servers of a PI Web API: authorities, or a certificate that somebody has pinned."""
    trust, name = Trust.of(plant, settings, url), f"source {settings.name}"
    for where in trust.servers(url, settings.auth.token_url).values():
        path = trust.pinned(where)
        what = f"{name}: certificate" if where == url else f"{name}: certificate of the token endpoint"
        if path is None:
            yield Finding(what, f"believed when {settings.ca_file or 'an authority of this system'} vouches for it")
            continue
        pinned = load(path)
        end = described(pinned).end
        said = f"pinned, SHA-256 {fingerprint(pinned)} ({path}); no other is believed"
        left = end - dt.datetime.now(dt.UTC)
        # Whom it belongs to was compared by a person: its end changes nothing of that, and stops nobody's history.
        until = f"it expires {end:%Y-%m-%d}" if left > _NO_TIME else f"it expired {end:%Y-%m-%d} and is believed still"
        soon = left < _SOON
        advice = f"when the server has a new one, `ferry trust {settings.name}` shows and pins it" if soon else ""
        yield Finding(what, f"{said}; {until}", advice, loud=soon)
