"""Which endpoint answers which method and path."""

from __future__ import annotations

import re
from collections.abc import Callable

from simulators.pi_web_api import archive, streams, updates
from simulators.pi_web_api.exchange import Answer, Question, RefusalError
from simulators.pi_web_api.service import Service

Endpoint = Callable[..., Answer]

_READINGS = "|".join(streams.READINGS)
_ROUTES: tuple[tuple[str, re.Pattern[str], Endpoint], ...] = tuple(
    (method, re.compile(pattern, re.IGNORECASE), endpoint)
    for method, pattern, endpoint in (
        ("GET", r"/streamsets/recorded", streams.set_recorded),
        ("GET", r"/streams/([^/]+)/recorded", streams.recorded_values),
        ("GET", rf"/streamsets/({_READINGS})", streams.many),
        ("GET", rf"/streams/([^/]+)/({_READINGS})", streams.one),
        ("GET", r"/?", archive.landing),
        ("GET", r"/system", archive.system),
        ("GET", r"/system/status", archive.status),
        ("GET", r"/system/userinfo", archive.userinfo),
        ("GET", r"/dataservers", archive.data_servers),
        ("GET", r"/dataservers/([^/]+)", archive.data_server),
        ("GET", r"/dataservers/([^/]+)/points", archive.server_points),
        ("GET", r"/dataservers/([^/]+)/enumerationsets", archive.enumeration_sets),
        ("GET", r"/enumerationsets/([^/]+)/enumerationvalues", archive.enumeration_values),
        ("GET", r"/points", archive.by_path),
        ("GET", r"/points/search", archive.search),
        ("GET", r"/points/multiple", archive.multiple),
        ("GET", r"/points/([^/]+)", archive.point),
        ("GET", r"/points/([^/]+)/attributes", archive.attributes),
        ("POST", r"/streams/([^/]+)/updates", updates.register),
        ("POST", r"/streamsets/updates", updates.set_register),
        ("GET", r"/streams/updates/([^/]+)", updates.read),
        ("GET", r"/streamsets/updates", updates.set_read),
    )
)


def answered(service: Service, question: Question) -> Answer:
    """The answer to a question of any kind but a batch; a refusal is an answer too."""
    try:
        known = False
        for method, pattern, endpoint in _ROUTES:
            match = pattern.fullmatch(question.path)
            if match and method == question.method:
                return endpoint(service, question, *match.groups())
            known = known or match is not None
        if known:
            text = f"The requested resource does not support http method '{question.method}'."
            raise RefusalError(405, text, "Message")
        text = f"No HTTP resource was found that matches the request URI '{question.base}{question.path}'."
        raise RefusalError(404, text, "Message")
    except RefusalError as refusal:
        return refusal.answer()
