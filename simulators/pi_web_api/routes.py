"""Which endpoint answers which path."""

from __future__ import annotations

import re
from collections.abc import Callable

from simulators.pi_web_api import archive, streams
from simulators.pi_web_api.exchange import Answer, Question, RefusalError
from simulators.pi_web_api.service import Service

Endpoint = Callable[..., Answer]

_READINGS = "|".join(streams.READINGS)
_ROUTES: tuple[tuple[re.Pattern[str], Endpoint], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), endpoint)
    for pattern, endpoint in (
        (r"/streamsets/recorded", streams.set_recorded),
        (r"/streams/([^/]+)/recorded", streams.recorded_values),
        (rf"/streamsets/({_READINGS})", streams.many),
        (rf"/streams/([^/]+)/({_READINGS})", streams.one),
        (r"/?", archive.landing),
        (r"/system", archive.system),
        (r"/system/status", archive.status),
        (r"/system/userinfo", archive.userinfo),
        (r"/dataservers", archive.data_servers),
        (r"/dataservers/([^/]+)", archive.data_server),
        (r"/dataservers/([^/]+)/points", archive.server_points),
        (r"/dataservers/([^/]+)/enumerationsets", archive.enumeration_sets),
        (r"/enumerationsets/([^/]+)/enumerationvalues", archive.enumeration_values),
        (r"/points", archive.by_path),
        (r"/points/search", archive.search),
        (r"/points/multiple", archive.multiple),
        (r"/points/([^/]+)", archive.point),
        (r"/points/([^/]+)/attributes", archive.attributes),
    )
)


def answered(service: Service, question: Question) -> Answer:
    """The answer to a question of any kind but a batch; a refusal is an answer too."""
    try:
        for pattern, endpoint in _ROUTES:
            match = pattern.fullmatch(question.path)
            if match:
                if question.method != "GET":
                    text = f"The requested resource does not support http method '{question.method}'."
                    raise RefusalError(405, text, "Message")
                return endpoint(service, question, *match.groups())
        text = f"No HTTP resource was found that matches the request URI '{question.base}{question.path}'."
        raise RefusalError(404, text, "Message")
    except RefusalError as refusal:
        return refusal.answer()
