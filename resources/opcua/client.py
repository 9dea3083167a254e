"""A session with an OPC UA server: secured as the plant file says, addresses of nodes resolved, limits known."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from asyncua import Client, ua
from asyncua.crypto import security_policies
from asyncua.ua import uaerrors

from pipelines.plant import Auth, Channel, Connection, Plant, SourceSettings, secret
from pipelines.ports import Retry, Stop
from resources.certificates import another, load
from resources.opcua.stamps import keep_ticks, ns_of

APPLICATION = "urn:historian-ferry:client"
_LIMITS = {"read": 11_705, "history": 12_165, "subscribe": 11_714, "browse": 11_710}
"""Nodes of a server's OperationLimits (OPC 10000-6, NodeIds: MaxNodesPerRead, …PerHistoryReadData, …)."""
_NODES_PER_REQUEST = 1_000
_URI = re.compile(r"nsu=([^;]+);(.+)")
_REFUSED = (
    uaerrors.BadCertificateInvalid,
    uaerrors.BadCertificateUntrusted,
    uaerrors.BadIdentityTokenInvalid,
    uaerrors.BadIdentityTokenRejected,
    uaerrors.BadSecurityChecksFailed,
    uaerrors.BadUserAccessDenied,
)
_TOO_MUCH = (
    uaerrors.BadEncodingLimitsExceeded,
    uaerrors.BadRequestTooLarge,
    uaerrors.BadResponseTooLarge,
    uaerrors.BadTcpMessageTooLarge,
    uaerrors.BadTooManyOperations,
)
T = TypeVar("T")

keep_ticks()
logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # what it would say there is raised, too


class TooMuch(Retry):
    """The server wants to be asked for less at once."""


@dataclass(frozen=True, slots=True)
class Login:
    """What it takes to open a session. Files are absolute; `own` is where our certificate is made if none is named."""

    url: str
    timeout_s: float
    auth: Auth
    channel: Channel
    folder: Path
    own: Path
    session_s: float = 60.0

    @classmethod
    def of(
        cls, plant: Plant, given: SourceSettings | Connection, url: str, timeout_s: float, session_s: float = 60.0
    ) -> Login:
        """As the plant file says; `url` takes the place of its url (for a stand-in)."""
        own = plant.state_dir / "pki" / "ferry.der"
        return cls(url, timeout_s, given.auth, given, plant.folder, own, session_s)

    def file(self, name: str) -> Path:
        return self.folder / name


class Session:
    """One open session."""

    def __init__(self, client: Client, namespaces: Sequence[str], limits: dict[str, int]) -> None:
        self.client = client
        self.asked = client.uaclient.session
        self._namespaces = {uri: place for place, uri in enumerate(namespaces)}
        self._limits = limits

    def node(self, address: str) -> ua.NodeId:
        """The node of an address: `ns=2;s=…`, or `nsu=URI;s=…`, whose index may differ at every start of a server.

        Raises ValueError for a namespace that the server has not.
        """
        match = _URI.fullmatch(address)
        if match is None:
            return ua.NodeId.from_string(address)
        if match[1] not in self._namespaces:
            raise ValueError(f"the server has no namespace {match[1]!r}")
        return ua.NodeId.from_string(f"ns={self._namespaces[match[1]]};{match[2]}")

    def address(self, node: ua.NodeId) -> str:
        """The address of a node by its namespace's URI; the inverse of `node`."""
        uri = next((uri for uri, place in self._namespaces.items() if place == node.NamespaceIndex), "")
        rest = node.to_string().split(";", 1)[-1]
        return f"nsu={uri};{rest}" if node.NamespaceIndex and uri else node.to_string()

    def most(self, service: str) -> int:
        """How many nodes the server takes in one request."""
        return self._limits[service]

    async def time_ns(self) -> int | None:
        """The server's clock, ns UTC."""
        [clock] = await self.read([CURRENT_TIME])
        return ns_of(clock.Value.Value) if clock.Value is not None else None

    async def read(self, ids: Sequence[ua.ReadValueId]) -> list[ua.DataValue]:
        """Attributes as the device has them now, with both times, in as few requests as the server allows."""
        found: list[ua.DataValue] = []
        for at in range(0, len(ids), self._limits["read"]):
            some = ua.ReadParameters(
                MaxAge=0.0, TimestampsToReturn=ua.TimestampsToReturn.Both,
                NodesToRead=list(ids[at : at + self._limits["read"]]),
            )  # fmt: skip
            found += await self.asked.read(some)
        return found


def wanted(node: ua.NodeId, attribute: ua.AttributeIds = ua.AttributeIds.Value) -> ua.ReadValueId:
    """One attribute to read."""
    return ua.ReadValueId(NodeId=node, AttributeId=attribute)


CURRENT_TIME = wanted(ua.NodeId(ua.Int32(2_258)))
"""Server_ServerStatus_CurrentTime (OPC 10000-6, NodeIds)."""


def address_error(address: str) -> str:
    """What is wrong with an address as it is written; '' where nothing is."""
    match = _URI.fullmatch(address)
    try:
        ua.NodeId.from_string(f"ns=1;{match[2]}" if match else address)
    except (ua.UaError, ValueError):
        return f"address {address!r}: expected a node id such as ns=2;s=Line1.Pressure or nsu=http://maker/line;i=1001"
    return ""


@contextlib.asynccontextmanager
async def session(login: Login) -> AsyncIterator[Session]:
    """A session that is closed in the end, without waiting long. Raises Retry, Stop (login, certificates)."""
    # It asks now and then whether the server lives, which keeps the session; one that is busy is not given up for that.
    client = Client(login.url, timeout=login.timeout_s, watchdog_intervall=login.session_s / 2)
    client.application_uri = APPLICATION
    client.name = client.description = "Historian Ferry"
    client.session_timeout = int(login.session_s * 1_000)
    if login.auth.kind == "basic":
        client.set_user(login.auth.username)
        client.set_password(secret(login.auth.password_env))
    try:
        await _secured(client, login)
        await asyncio.wait_for(client.connect(), login.timeout_s * 3)
        opened = await _opened(client)
    except BaseException as error:
        with contextlib.suppress(Exception):
            client.disconnect_socket()
        raise _meant(error, login.url) from None
    try:
        yield opened
    finally:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.disconnect(), 1.0)


async def meant(work: Callable[[], Coroutine[Any, Any, T]], url: str) -> T:
    """Awaits `work()`; what asyncua raises becomes Retry or Stop."""
    try:
        return await work()
    except Exception as error:
        raise _meant(error, url) from None


async def server_certificate(login: Login) -> bytes:
    """The certificate that the server shows (DER). Nothing is proved by it. Raises Retry, Stop."""
    policy, mode = _policy(login.channel)

    async def shown() -> bytes:
        client = Client(login.url, timeout=login.timeout_s)
        endpoints = await client.connect_and_get_server_endpoints()
        chain = bytes(Client.find_endpoint(endpoints, mode, policy.URI).ServerCertificate)
        return chain[: int.from_bytes(chain[2:4], "big") + 4]  # DER: a sequence and its length; the first is its own

    return await meant(shown, login.url)


def _policy(channel: Channel) -> tuple[Any, ua.MessageSecurityMode]:
    name, _, mode = channel.security.partition(":")
    policy = getattr(security_policies, f"SecurityPolicy{name}" if name != "None" else "SecurityPolicyNone")
    return policy, ua.MessageSecurityMode[mode or ("SignAndEncrypt" if name != "None" else "None_")]


async def _secured(client: Client, login: Login) -> None:
    channel = login.channel
    if channel.security == "None":
        return
    theirs = login.file(channel.server_certificate)
    if not theirs.is_file():
        raise Stop(
            f"{theirs}: no such file, and it must hold the certificate of {login.url}; `ferry trust` shows "
            "and saves the one that the server has now"
        )
    if channel.certificate:
        ours, key = login.file(channel.certificate), login.file(channel.private_key)
        for path in (ours, key):
            if not path.is_file():
                raise Stop(f"{path}: no such file, which the plant file names for {login.url}")
    else:
        ours, key = await client.setup_self_signed_certificate(login.own.with_suffix(".pem"), login.own)
        key.chmod(0o600)
    policy, mode = _policy(channel)
    try:
        pinned = load(theirs)
        shown = await server_certificate(login)
        if shown != pinned:
            raise Stop(another(login.url, shown, theirs, pinned))
        await client.set_security(policy, str(ours), str(key), None, str(theirs), mode)
    except (ValueError, ua.UaError) as error:
        raise Stop(f"{ours}, {key} or {theirs} is no certificate or key in DER or PEM: {error}") from None


async def _opened(client: Client) -> Session:
    array, *limits = await client.uaclient.session.read(
        ua.ReadParameters(NodesToRead=[wanted(ua.NodeId(ua.Int32(i))) for i in (2_255, *_LIMITS.values())])
    )
    found = {}
    for service, value in zip(_LIMITS, limits, strict=True):
        said = value.Value.Value if value.Value is not None else None
        found[service] = min(said or _NODES_PER_REQUEST, _NODES_PER_REQUEST) if isinstance(said, int | None) else 1
    return Session(client, list((array.Value.Value if array.Value is not None else None) or []), found)


def _meant(error: BaseException, url: str) -> BaseException:
    """The error of ours that says what is to be done."""
    if isinstance(error, Retry | Stop | asyncio.CancelledError) or not isinstance(error, Exception):
        return error
    if isinstance(error, _REFUSED):
        return Stop(f"{url} refuses us: {_said(error)}; look at its list of trusted clients, and at auth")
    if isinstance(error, _TOO_MUCH):
        return TooMuch(_said(error))
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return Retry("no answer in time")
    if isinstance(error, ua.UaError) and "No matching endpoints" in str(error):
        return Stop(f"{url} does not offer the security that the plant file asks for")
    return Retry(_said(error))


def _said(error: Exception) -> str:
    if isinstance(error, ua.UaStatusCodeError):
        return f"{ua.StatusCode(ua.UInt32(error.code)).name}: {error.args[0] if error.args else ''}".rstrip(": ")
    return str(error) or type(error).__name__
