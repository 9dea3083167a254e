"""`ferry trust`: certificates that no authority signed are shown, pinned, and from then on the only ones believed."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cli.main import run
from resources.certificates import OtherCertificate, fingerprint, load, pinned_context, thumbprint
from resources.pi_web_api.trust import tls_error
from simulators.pi_web_api import Plant, Settings
from simulators.pi_web_api.gate import Gate
from simulators.pi_web_api.server import application
from simulators.pi_web_api.tokens import TOKEN_PATH
from tests.contract.stand_in import serving

NOW = dt.datetime.now(dt.UTC)
BASIC = '{ kind = "basic", username = "ferry", password_env = "FERRY_UNIT_PASSWORD" }'
TOKENS = '{{ kind = "bearer", token_url = "{}", client_id = "ferry-client", client_secret_env = "FERRY_UNIT_SECRET" }}'
PLANT = """
[plant]
name = "unit"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "{url}/piwebapi"
auth = {auth}
start = 2026-01-01T00:00:00Z
{more}
[store]
iotdb = "127.0.0.1:1"
[ledger]
postgres = {{ dsn_env = "FERRY_UNIT_DSN" }}
"""


def self_signed(path: Path, name: str = "PI Web API", days: int = 365) -> bytes:
    """Writes certificate and key for 127.0.0.1 (PEM), which ends in `days`; returns the certificate (DER)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = [x509.DNSName("piserver.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - dt.timedelta(days=800)).not_valid_after(NOW + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return made.public_bytes(Encoding.DER)


class World:
    """A stand-in with a certificate of its own, and a plant file for it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.pin = folder / ".ferry" / "pki" / "trusted" / "pi1.der"
        self.url, self.gate = "", None
        self.more, self.auth = "", BASIC

    @contextlib.contextmanager
    def serve(self, auth: Any = "basic", days: int = 365, name: str = "PI Web API") -> Iterator[tuple[str, Gate, Any]]:
        path = self.folder / f"{name}.pem"
        self_signed(path, name, days)
        gate = application(Plant(Settings(points=5, hours=1, auth=auth, certificate=str(path))))
        with serving(gate) as (url, config):
            yield url, gate, config

    def ferry(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, JSON, and what was said aside."""
        path = self.folder / "ferry.toml"
        path.write_text(PLANT.format(url=self.url, auth=self.auth, more=self.more), encoding="utf-8")
        code = run([*arguments, "--plant", str(path), "--json"])
        out, err = self._capsys.readouterr()
        return code, json.loads(out or "{}"), err

    def checks(self) -> dict[str, dict[str, Any]]:
        return {check["name"]: check for check in self.ferry("doctor")[1]["checks"]}


@pytest.fixture
def world(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("FERRY_UNIT_PASSWORD", "ferry-demo")
    monkeypatch.setenv("FERRY_UNIT_SECRET", "ferry-secret")
    monkeypatch.setenv("FERRY_UNIT_DSN", "postgresql://me:hunter2secret@127.0.0.1:9/x")
    monkeypatch.setenv("COLUMNS", "400")
    return World(tmp_path, capsys)


def swap(config: uvicorn.Config, path: Path) -> None:
    """New connections get another certificate."""
    assert config.ssl is not None
    config.ssl.load_cert_chain(path)


def test_a_self_signed_certificate_is_refused_shown_pinned_and_believed(world: World) -> None:
    with world.serve() as (world.url, gate, config):
        refused = world.checks()["source pi1"]
        assert refused["code"] == 2
        assert "`ferry trust pi1` shows and pins it" in refused["detail"]

        shown = load(world.folder / "PI Web API.pem")
        code, told, said = world.ferry("trust", "pi1")
        assert (code, told) == (0, {"source": "pi1", "certificates": {f"{world.url}/piwebapi": fingerprint(shown)}})
        assert load(world.pin) == shown
        for words in (
            "CN=PI Web API, signed by itself", "piserver.example, 127.0.0.1", f"SHA-256 {fingerprint(shown)}",
            f"SHA-1   {thumbprint(shown)}", f"to {NOW + dt.timedelta(days=365):%Y-%m-%d}",
            "only if the server's own administration shows the same fingerprint",
        ):  # fmt: skip
            assert words in said
        assert gate.requests == 0  # neither command has said anything to a server that was not believed

        believed = world.checks()
        assert believed["source pi1"]["well"]
        assert f"pinned, SHA-256 {fingerprint(shown)} ({world.pin})" in believed["source pi1: certificate"]["detail"]
        asked = gate.requests
        assert asked > 0

        other = self_signed(world.folder / "other.pem")
        swap(config, world.folder / "other.pem")
        changed = world.checks()["source pi1"]
        assert changed["code"] == 2
        assert fingerprint(shown) in changed["detail"] and fingerprint(other) in changed["detail"]
        assert "`ferry trust pi1` saves the new one" in changed["detail"]
        assert gate.requests == asked

        code, told, said = world.ferry("trust")
        assert code == 0 and f"; it was {fingerprint(shown)}" in said
        assert world.checks()["source pi1"]["well"]


@pytest.mark.parametrize(("days", "says"), [(-1, "expired"), (10, "expires"), (365, "")])
def test_the_end_of_a_pinned_certificate_is_told_and_stops_nothing(world: World, days: int, says: str) -> None:
    with world.serve(days=days) as (world.url, _, _):
        _, _, said = world.ferry("trust", "pi1")
        assert ("EXPIRED" in said) == (days < 0)
        found = world.checks()
        assert found["source pi1"]["well"]
        certificate = found["source pi1: certificate"]
        assert certificate["well"]
        assert (f"it {says} {NOW + dt.timedelta(days=days):%Y-%m-%d}" in certificate["detail"]) == bool(says)
        assert ("`ferry trust pi1`" in certificate["advice"]) == bool(says)


def test_what_an_authority_has_signed_needs_no_pin(world: World) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(world.folder / "ca.pem"))
    signed = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    signed.write_to_path(str(world.folder / "signed.pem"))
    world.more = f'ca_file = "{world.folder / "ca.pem"}"'
    with world.serve() as (world.url, _, config):
        assert "CERTIFICATE_VERIFY_FAILED" in world.checks()["source pi1"]["detail"]
        swap(config, world.folder / "signed.pem")
        found = world.checks()
        assert found["source pi1"]["well"]
        assert found["source pi1: certificate"]["detail"] == f"believed when {world.folder / 'ca.pem'} vouches for it"
        _, _, said = world.ferry("trust", "pi1")
        assert "it needs no pin" in said and f"without {world.pin} the authority decides" in said


def test_a_file_that_the_plant_file_names_must_be_there(world: World) -> None:
    world.more = 'server_certificate = "pi.der"'
    with world.serve() as (world.url, gate, _):
        found = world.checks()["source pi1: certificate"]
        assert found["code"] == 2 and "pi.der: no such file" in found["detail"]
        assert gate.requests == 0
        world.ferry("trust", "pi1")
        assert (world.folder / "pi.der").is_file() and not world.pin.exists()
        assert world.checks()["source pi1"]["well"]
        (world.folder / "pi.der").write_text("nonsense", encoding="utf-8")
        assert "pi.der cannot be read as a certificate" in world.checks()["source pi1: certificate"]["detail"]


def test_a_token_endpoint_elsewhere_has_a_pin_of_its_own(world: World) -> None:
    with (
        world.serve("bearer", name="Identity Manager") as (elsewhere, tokens, config),
        world.serve("bearer") as (world.url, gate, _),
    ):
        gate.tokens = tokens.tokens  # the plant believes its tokens
        world.auth = TOKENS.format(elsewhere + TOKEN_PATH)
        code, told, _ = world.ferry("trust", "pi1")
        assert code == 0 and set(told["certificates"]) == {f"{world.url}/piwebapi", elsewhere + TOKEN_PATH}
        assert tokens.statuses.total() == gate.statuses.total() == 0
        found = world.checks()
        assert found["source pi1"]["well"]
        assert "pi1.token.der" in found["source pi1: certificate of the token endpoint"]["detail"]
        asked = tokens.statuses.total()

        # The plant's own certificate, which is pinned for the plant, is none for the endpoint.
        swap(config, world.folder / "PI Web API.pem")
        changed = world.checks()["source pi1"]
        assert changed["code"] == 2 and "token endpoint" in changed["detail"]
        assert "shows another certificate" in changed["detail"]
        assert tokens.statuses.total() == asked


def test_a_token_endpoint_on_the_same_server_has_the_same_pin(world: World) -> None:
    with world.serve("bearer") as (world.url, _, _):
        world.auth = TOKENS.format(world.url + TOKEN_PATH)
        _, told, said = world.ferry("trust", "pi1")
        assert list(told["certificates"]) == [f"{world.url}/piwebapi"]
        assert "it needs no pin" not in said
        found = world.checks()
        assert found["source pi1"]["well"]
        assert "source pi1: certificate of the token endpoint" not in found


def test_nothing_to_trust(world: World) -> None:
    world.url = "http://127.0.0.1:9"
    code, _, said = world.ferry("trust", "pi1")
    assert code == 2 and "there is nothing to trust" in said
    world.url = "https://127.0.0.1:9"
    code, _, said = world.ferry("trust", "pi1")
    assert code == 3 and "nobody answers" in said and not world.pin.exists()


def test_a_server_without_tls_shows_none(world: World) -> None:
    with serving(application(Plant(Settings(points=5, hours=1)))) as (url, _):
        world.url = url.replace("http:", "https:")
        code, _, said = world.ferry("trust", "pi1")
        assert code == 2 and "there is no certificate to be seen" in said
        assert "ferry trust" not in world.checks()["source pi1"]["detail"]  # it would help nothing


def test_clients_that_block_compare_too(world: World) -> None:
    other = self_signed(world.folder / "other.pem")
    with world.serve("none") as (url, gate, _):
        with pytest.raises(httpx.ConnectError) as caught:
            httpx.get(f"{url}/piwebapi/system", verify=pinned_context(other))
        assert isinstance(tls_error(caught.value), OtherCertificate)
        assert gate.requests == 0
        pinned = pinned_context(load(world.folder / "PI Web API.pem"))
        assert httpx.get(f"{url}/piwebapi/system", verify=pinned).status_code == 200


def test_a_sql_server_is_told_what_to_do_instead(world: World) -> None:
    world.url, world.more = "https://127.0.0.1:9", "[[source]]\nname = 'ww'\nkind = 'wonderware'\naddress = 'h'\n"
    world.more += f"auth = {BASIC}\nstart = 2026-01-01T00:00:00Z"
    code, _, said = world.ferry("trust", "ww")
    assert code == 2 and "cannot be pinned" in said and "ca_file" in said
