"""Settings of the embedded IoTDB: its properties file, its log settings and its two command lines.

Sources: IoTDB's System-Config-Manual and its start scripts; what was measured on 2.0.1-beta stands beside each line.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

CONFIG_NODE = "org.apache.iotdb.confignode.service.ConfigNode"
DATA_NODE = "org.apache.iotdb.db.service.DataNode"

RPC_PORT = "dn_rpc_port"
PORTS = (
    "cn_internal_port",
    "cn_consensus_port",
    RPC_PORT,
    "dn_internal_port",
    "dn_mpp_data_exchange_port",
    "dn_schema_region_consensus_port",
    "dn_data_region_consensus_port",
)

_CONFIG_NODE_HEAP_MB = 128
_CONFIG_NODE_DIRECT_MB = 64
_COMPILED_QUICKLY = "-XX:TieredStopAtLevel=1"
_OPENED = ("util.concurrent", "lang", "util", "nio", "io", "net")  # start-datanode.sh opens these packages of java.base


def properties(host: str, ports: Mapping[str, int]) -> str:
    """Text of `iotdb-system.properties` for a cluster of one ConfigNode and one DataNode."""
    seed = f"{host}:{ports['cn_internal_port']}"
    settings: dict[str, object] = {
        "cluster_name": "historian-ferry",
        "cn_internal_address": host,
        "cn_seed_config_node": seed,
        "dn_rpc_address": host,
        "dn_internal_address": host,
        "dn_seed_config_node": seed,
        **ports,
        "schema_replication_factor": 1,
        "data_replication_factor": 1,
        # Fixed before the first start. Historians keep 100 ns; only ns holds it.
        "timestamp_precision": "ns",
        # Any other mode loses acknowledged rows on kill -9.
        "wal_mode": "SYNC",
        # A DataRegion reserves direct memory for its WAL; small buffers let a small server have two.
        "wal_buffer_size_in_byte": 8 << 20,
        "schema_region_group_extension_policy": "CUSTOM",
        "default_schema_region_group_num_per_database": 1,
        "data_region_group_extension_policy": "CUSTOM",
        "default_data_region_group_num_per_database": 1,  # with two, every LOAD is cut in two
        # We create every table ourselves: a misspelt column must fail, not appear.
        "enable_auto_create_schema": "false",
        "enable_rest_service": "false",
        "enable_mqtt_service": "false",
        "load_active_listening_enable": "false",
        "cn_metric_reporter_list": "",
        "dn_metric_reporter_list": "",
        "cn_metric_level": "OFF",
        "dn_metric_level": "OFF",
        # One ConfigNode has nobody to compete with; the defaults of 2 to 4 s are most of a start.
        "config_node_ratis_rpc_leader_election_timeout_min_ms": 300,
        "config_node_ratis_rpc_leader_election_timeout_max_ms": 600,
        "schema_region_ratis_rpc_leader_election_timeout_min_ms": 300,
        "schema_region_ratis_rpc_leader_election_timeout_max_ms": 600,
        # Two small machines' worth: compaction beside a backfill on two cores.
        "compaction_thread_count": 2,
        # Each pass of sync loads small files; looked for once a minute, one merge of 30 of them is all that is found,
        # and reads slow down with thousands of files.
        "compaction_schedule_interval_in_ms": 5_000,
        "query_timeout_threshold": 600_000,
        # Read-only below this share of free disk; ensure() refuses to start a little earlier and says so.
        "disk_space_warning_threshold": 0.01,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def logback(log_file: Path) -> str:
    """Text of a `logback.xml` that keeps at most 16 MB of log in `log_file` and one older file."""
    name = escape(str(log_file))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<configuration scan="false">
  <appender name="FILE" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>{name}</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>{name}.%i</fileNamePattern>
      <minIndex>1</minIndex>
      <maxIndex>1</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>8MB</maxFileSize>
    </triggeringPolicy>
    <encoder><pattern>%d{{yyyy-MM-dd'T'HH:mm:ss.SSS'Z',UTC}} %-5p [%t] %c{{1}} - %m%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="FILE"/></root>
</configuration>
"""


def environment(jars: Sequence[Path]) -> dict[str, str]:
    """The class path, kept out of the command lines that people read in `ps`; and UTF-8 for the names of files.

    Java takes the encoding of paths from the locale alone: without it a plant's folder with an umlaut is not found.
    """
    return {"CLASSPATH": os.pathsep.join(str(jar) for jar in jars), "LC_ALL": "C.UTF-8"}


def config_node_command(java: Path, home: Path, argument: str) -> list[str]:
    """Command line of the ConfigNode, which keeps the cluster's memory of itself and needs little."""
    sizes = [
        f"-Xmx{_CONFIG_NODE_HEAP_MB}m",
        f"-XX:MaxDirectMemorySize={_CONFIG_NODE_DIRECT_MB}m",
        f"-DOFF_HEAP_MEMORY={_CONFIG_NODE_DIRECT_MB}M",
        # It has nothing to compute: a quick start is worth more than quick code.
        _COMPILED_QUICKLY,
    ]
    own = [f"-DCONFIGNODE_HOME={home}", f"-DCONFIGNODE_CONF={home / 'conf'}", f"-DCONFIGNODE_DATA_HOME={home}"]
    return _command(java, home, [*sizes, *own, argument], "logback-confignode.xml", CONFIG_NODE)


def data_node_command(java: Path, home: Path, argument: str, heap_mb: int, *, short_lived: bool = False) -> list[str]:
    """Command line of the DataNode with a heap of `heap_mb` MiB and half as much again off the heap."""
    direct_mb = max(128, heap_mb // 2)
    sizes = [f"-Xmx{heap_mb}m", f"-XX:MaxDirectMemorySize={direct_mb}m", f"-DOFF_HEAP_MEMORY={direct_mb}M"]
    quickly = [_COMPILED_QUICKLY] if short_lived else []
    return _command(java, home, [*sizes, *quickly, argument], "logback-datanode.xml", DATA_NODE)


def _command(java: Path, home: Path, options: list[str], log_settings: str, main_class: str) -> list[str]:
    return [
        str(java),
        *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED),
        "-XX:+UseSerialGC",  # the least memory and threads; with one or two cores also the fastest
        "-XX:+ExitOnOutOfMemoryError",  # a dead server is started again, a maimed one is believed
        "-XX:-UsePerfData",  # no files of ours in the temporary folder
        f"-DIOTDB_HOME={home}",
        f"-DIOTDB_CONF={home / 'conf'}",
        f"-DIOTDB_DATA_HOME={home}",
        f"-DTSFILE_HOME={home}",
        f"-DTSFILE_CONF={home / 'conf'}",
        f"-DIOTDB_LOG_DIR={home / 'logs'}",
        f"-Dlogback.configurationFile={home / 'conf' / log_settings}",
        f"-Djava.io.tmpdir={home / 'tmp'}",
        "-Duser.timezone=UTC",
        "-Dfile.encoding=UTF-8",
        *options,
        main_class,
        "-s",
    ]
