"""One query in a process of its own: `freetds` or `odbc`, a port, on or off, and the file of the CA that is trusted.

A process, because the driver reads what it trusts once, from the environment. Prints the rows, or the error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SQL = "SELECT secret"


def main(client: str, port: str, encrypt: str, ca: str, user: str, password: str) -> None:
    with TemporaryDirectory() as folder:
        try:
            connect = _freetds if client == "freetds" else _odbc
            cursor = connect(port, encrypt == "on", ca, user, password, Path(folder)).cursor()
            cursor.execute(SQL)
            print("rows", sum(row[0] for row in cursor.fetchall()))
        except Exception as error:
            print("error", error)


def _freetds(port: str, encrypt: bool, ca: str, user: str, password: str, folder: Path) -> Any:
    lines = ["[stage]", "host = localhost", f"port = {port}", "tds version = 7.4", "client charset = UTF-8"]
    lines += ["encryption = require", f"ca file = {ca}", "check certificate hostname = yes"] if encrypt else []
    lines += [] if encrypt else ["encryption = off"]
    (folder / "freetds.conf").write_text("\n".join(lines))
    os.environ["FREETDSCONF"] = str(folder / "freetds.conf")
    import pymssql

    return pymssql.connect(server="stage", port=port, user=user, password=password, login_timeout=20)


def _odbc(port: str, encrypt: bool, ca: str, user: str, password: str, folder: Path) -> Any:
    os.environ["SSL_CERT_FILE"] = ca
    import mssql_python

    mssql_python.native_provider = "mssql-odbc"  # the one that the product takes: it needs no libltdl
    words = f"Server=localhost,{port};UID={user};PWD={{{password}}};Encrypt={'yes' if encrypt else 'no'}"
    words += ";PacketSize=32767"  # more than a TLS record holds
    return mssql_python.connect(words, timeout=20)


if __name__ == "__main__":
    main(*sys.argv[1:])
