"""A subscription: every change that the server tells, and a bad reading where it says, or its numbers show, that some
were lost.

Source: OPC 10000-4, 5.14 (Publish: sequence numbers, keep-alives), 5.13.1.5 (queues that overflow).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from asyncua import ua
from asyncua.ua.uaerrors import BadMessageNotAvailable

from pipelines.ports import Reading, Retry, Tag
from pipelines.samples import Quality
from pipelines.timeline import MILLISECOND_NS, SECOND_NS
from resources.opcua.client import Session, wanted
from resources.opcua.values import detail_of, name_of, overflowed, quality_of, reading_of, status_of

_QUEUE = 100
"""Changes of one item that the server keeps from one publishing to the next."""
_KEEP_ALIVE_S, _SILENT = 5.0, 3
"""An idle subscription is heard of so often; silent for so many times that, it is dead."""
_LIFETIME_S = 60.0
Readings = list[tuple[Tag, Reading]]


class Subscribed:
    """Some tags of one interval. Lives in the event loop of its session."""

    def __init__(self, opened: Session, tags: Sequence[tuple[Tag, ua.NodeId]]) -> None:
        self._opened, self._tags = opened, [tag for tag, _ in tags]
        self._nodes = [node for _, node in tags]
        self._interval_s = self._tags[0].interval_ns / SECOND_NS
        self._gathered: Readings = []
        self._refused: Readings = []
        self._heard_s, self._quiet_s = time.monotonic(), _KEEP_ALIVE_S
        self._next = 0
        self._id = 0
        self._dead = ""

    @classmethod
    async def to(cls, opened: Session, tags: Sequence[tuple[Tag, ua.NodeId]]) -> Subscribed:
        """Subscribes; a node that cannot be is a bad reading each beat."""
        made = cls(opened, tags)
        keep_alive = max(1, math.ceil(_KEEP_ALIVE_S / made._interval_s))
        created = await opened.asked.create_subscription(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=made._interval_s * 1_000, RequestedMaxKeepAliveCount=keep_alive,
                RequestedLifetimeCount=max(3 * keep_alive, math.ceil(_LIFETIME_S / made._interval_s)),
                MaxNotificationsPerPublish=0, PublishingEnabled=True, Priority=0,
            ),
            made._published,
        )  # fmt: skip
        made._id = created.SubscriptionId
        made._interval_s = max(made._interval_s, created.RevisedPublishingInterval / 1_000)
        made._quiet_s = max(_KEEP_ALIVE_S, created.RevisedMaxKeepAliveCount * made._interval_s)
        for at in range(0, len(tags), opened.most("subscribe")):
            await made._items(at, min(at + opened.most("subscribe"), len(tags)))
        return made

    def taken(self) -> Readings:
        """What has come since, in the order in which it came. Raises Retry when the subscription is dead."""
        silent_s = time.monotonic() - self._heard_s
        if self._dead or silent_s > _SILENT * self._quiet_s:
            raise Retry(self._dead or f"the subscription was silent for {silent_s:.0f} s")
        gathered, self._gathered = self._gathered, []
        return gathered + self._refused

    async def _items(self, first: int, end: int) -> None:
        requests = [
            ua.MonitoredItemCreateRequest(
                ItemToMonitor=wanted(self._nodes[place]), MonitoringMode=ua.MonitoringMode.Reporting,
                RequestedParameters=ua.MonitoringParameters(
                    ClientHandle=place, SamplingInterval=self._tags[place].interval_ns / MILLISECOND_NS,
                    QueueSize=_QUEUE, DiscardOldest=True,
                    Filter=ua.DataChangeFilter(Trigger=_trigger(self._tags[place])),
                ),
            )
            for place in range(first, end)
        ]  # fmt: skip
        asked = ua.CreateMonitoredItemsParameters(
            SubscriptionId=self._id, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToCreate=requests
        )
        for place, result in enumerate(await self._opened.asked.create_monitored_items(asked), first):
            status = int(result.StatusCode.value)
            if status >> 31:
                bad = Reading((), int(quality_of(status)), detail_of(status), name_of(status))
                self._refused.append((self._tags[place], bad))

    async def _published(self, told: ua.PublishResult) -> None:
        """One answer of the server; an empty one says that it lives, and which number is next."""
        self._heard_s = time.monotonic()
        message = told.NotificationMessage
        number = int(message.SequenceNumber)
        if self._next and number != self._next:
            await self._read_again(self._next, number)
        self._take(message)
        self._next = _after(number) if message.NotificationData else number

    async def _read_again(self, first: int, end: int) -> None:
        """Notifications that did not come; those that the server has no more are lost."""
        number = first
        try:
            while number != end:
                self._take(await self._opened.asked.republish(self._id, number))
                number = _after(number)
        except BadMessageNotAvailable:
            lost = Reading((), int(Quality.BAD_COMM), reason=f"notifications {number} to {end - 1} were lost")
            self._gathered += [(tag, lost) for tag in self._tags]

    def _take(self, message: ua.NotificationMessage) -> None:
        received_ns = time.time_ns()
        for each in message.NotificationData or ():
            if isinstance(each, ua.StatusChangeNotification):
                self._dead = f"the server ended the subscription: {name_of(int(each.Status.value))}"
            elif isinstance(each, ua.DataChangeNotification):
                for item in each.MonitoredItems:
                    self._item(self._tags[item.ClientHandle], item.Value, received_ns)

    def _item(self, tag: Tag, value: ua.DataValue, received_ns: int) -> None:
        reading = reading_of(value, tag.length, received_ns)
        if overflowed(status_of(value)):
            lost = Reading(
                (), int(Quality.BAD_COMM), reading.detail, "changes before this were lost: the server's queue was full",
                reading.source_ns, reading.server_ns, received_ns,
            )  # fmt: skip
            self._gathered.append((tag, lost))
        self._gathered.append((tag, reading))


def _trigger(tag: Tag) -> ua.DataChangeTrigger:
    """A tag without a deadband wants every event, also one of the same value."""
    kinds = ua.DataChangeTrigger
    return kinds.StatusValueTimestamp if tag.deadband is None else kinds.StatusValue


def _after(number: int) -> int:
    """The next sequence number; after the last comes 1."""
    return number % 0xFFFFFFFF + 1
