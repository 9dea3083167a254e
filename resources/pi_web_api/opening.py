"""The way to the PI Web API of a source in the plant file."""

from __future__ import annotations

import httpx

from pipelines.plant import SourceSettings
from resources.budget import Budget
from resources.pi_web_api.auth import login
from resources.pi_web_api.transport import Patience, Transport
from resources.pi_web_api.trust import Trust

_OWNERS = {"kerberos": "the owner of the Kerberos ticket"}


def transport_of(
    settings: SourceSettings,
    url: str = "",
    budget: Budget | None = None,
    patience: Patience | None = None,
    trust: Trust | None = None,
    entrance: httpx.Auth | None = None,
) -> Transport:
    """As the plant file says; `url` takes the place of its url (for a stand-in). Raises Stop.

    `entrance` is a login of this source's that was made before, and may hold a token that is good still.
    """
    trust = trust or Trust(settings.name, settings.ca_file)
    return Transport(
        settings.name,
        url or settings.url,
        budget or Budget(settings.requests_per_s, settings.quiet_hours),
        entrance or login(settings.auth, trust),
        settings.auth.username or settings.auth.client_id or _OWNERS.get(settings.auth.kind, ""),
        settings.concurrency,
        trust,
        patience,
    )
