"""The server's side of every question: plant, press, signups, counters, and what all endpoints share."""

from __future__ import annotations

from simulators.pi_web_api import webids
from simulators.pi_web_api.catalogue import UnknownPointError
from simulators.pi_web_api.clock import TimeTextError
from simulators.pi_web_api.exchange import Question, RefusalError
from simulators.pi_web_api.plant import Plant
from simulators.pi_web_api.rendering import Press
from simulators.pi_web_api.settings import Settings
from simulators.pi_web_api.signups import Signups
from simulators.pi_web_api.specs import Spec

DEFAULT_COUNT = 1_000  # maxCount where none is given (facts 1.4)


class Service:
    """What endpoints work with."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.press = Press(plant)
        self.signups = Signups(plant)
        self.catalogue = plant.catalogue
        self.settings: Settings = plant.settings
        self.events_served = 0

    def served(self, events: int) -> None:
        """Counts events given out."""
        self.events_served += events

    def window(self, question: Question, start: str = "*-1d", end: str = "*") -> tuple[int, int]:
        """startTime and endTime in ns, against one present. Raises RefusalError."""
        now_ns, zone = self.plant.clock.now_ns(), question.text("timeZone")
        try:
            return (
                self.plant.clock.read(question.text("startTime", start), now_ns, zone),
                self.plant.clock.read(question.text("endTime", end), now_ns, zone),
            )
        except TimeTextError as error:
            raise RefusalError(400, str(error)) from error

    def time(self, text: str, zone: str = "") -> int:
        """One time string in ns. Raises RefusalError."""
        try:
            return self.plant.clock.read(text, self.plant.clock.now_ns(), zone)
        except TimeTextError as error:
            raise RefusalError(400, str(error)) from error

    def over_limit(self, name: str) -> RefusalError:
        """The refusal of a call that asks for, or would return, more than the server may give."""
        limit = self.settings.max_items
        return RefusalError(400, f"Parameter '{name}' is greater than the maximum allowed ({limit}).")

    def max_count(self, question: Question, most: int = 0) -> int:
        """maxCount, within MaxReturnedItemsPerCall or `most`. Raises RefusalError."""
        count = question.number("maxCount", min(DEFAULT_COUNT, most or self.settings.max_items))
        if most and count > most:
            raise RefusalError(400, f"Parameter 'maxCount' is greater than the maximum allowed ({most}).")
        if count > self.settings.max_items:
            raise self.over_limit("maxCount")
        if count == 0:
            raise RefusalError(400, "Parameter 'maxCount' must be greater than 0.")
        return count

    def kind(self, question: Question) -> str:
        """The kind of WebIds to give out. Raises RefusalError."""
        kind = question.text("webIdType", self.settings.web_id_type)
        for known in webids.TYPES:
            if known.lower() == kind.lower():
                return known
        raise RefusalError(400, f"The value '{kind}' is not valid for parameter 'webIdType'.")

    def web_id(self, question: Question, spec: Spec) -> str:
        """A point's WebId of the kind that the question wants."""
        return self.catalogue.web_id(spec, self.kind(question))

    def point(self, web_id: str) -> Spec:
        """The point that a WebId names. Raises RefusalError."""
        try:
            return self.catalogue.by_web_id(web_id)
        except webids.WebIdError as error:
            raise RefusalError(400, str(error)) from error
        except UnknownPointError as error:
            raise RefusalError(404, str(error)) from error

    def points(self, question: Question) -> list[Spec]:
        """The points of every webId parameter. Raises RefusalError."""
        web_ids = question.texts("webId")
        if not web_ids:
            raise RefusalError(400, "Parameter 'webId' is required.")
        return [self.point(web_id) for web_id in web_ids]

    def check_server(self, web_id: str) -> None:
        """Passes for this Data Archive's WebId. Raises RefusalError."""
        try:
            if self.catalogue.is_server(web_id):
                return
        except webids.WebIdError as error:
            raise RefusalError(400, str(error)) from error
        raise RefusalError(404, "The specified PI Data Archive was not found.")
