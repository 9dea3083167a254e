"""A tag map is checked whole: every mistake in one line that names the file and the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.plant import SourceSettings, load_tags
from pipelines.ports import Stop
from pipelines.timeline import MILLISECOND_NS, SECOND_NS

CONNECTIONS = [{"name": "press", "url": "modbus-tcp:tcp://h:502"}, {"name": "oven", "url": "s7://h"}]


def settings(connections: list[dict[str, str]] = CONNECTIONS) -> SourceSettings:
    return SourceSettings.model_validate(
        {
            "name": "line1",
            "kind": "plc4x",
            "tags": "tags.csv",
            "start": "2026-01-01T00:00:00Z",
            "connection": connections,
        }
    )


def test_a_tag_map(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text(
        "\ufeffname, address,type,connection,scale,offset,unit,deadband,interval,group,description\r\n"
        'Druck,holding-register:1,INT,press,0.1,-5,bar,0.5,100 ms,fast,"vor dem Ventil, links"\r\n'
        "\r\n"
        "Text,%DB1:0:STRING(10),,oven,,,,,,,\r\n"
        "Feld,holding-register:10,REAL[3],press,,,,0,1 s,slow,\r\n",
        encoding="utf-8",
    )
    first, second, third = load_tags(settings(), tmp_path)
    assert (first.name, first.connection, first.address, first.type) == ("Druck", "press", "holding-register:1", "INT")
    assert (first.scale, first.offset, first.deadband, first.unit) == (0.1, -5.0, 0.5, "bar")
    assert (first.interval_ns, first.group, first.kind) == (100 * MILLISECOND_NS, "fast", "number")
    assert first.description == "vor dem Ventil, links"
    assert (second.connection, second.interval_ns, second.group, second.deadband) == ("oven", SECOND_NS, "all", None)
    assert third.names == ("Feld[0]", "Feld[1]", "Feld[2]")
    assert (third.length, third.deadband, third.kind) == (3, 0.0, "number")


def test_one_connection_need_not_be_named(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text("name,address\nA,x:1\n", encoding="utf-8")
    [tag] = load_tags(settings(CONNECTIONS[:1]), tmp_path)
    assert tag.connection == "press"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (",a", "line 2: no name"),
        ("A,", "line 2: no address"),
        ("cycle.x,a", "line 2: names that begin with 'cycle.' tell of cycles"),
        ("A,a,INTT", "line 2: type 'INTT'; did you mean 'INT'?: expected one of BOOL"),
        ("A,a,int", "line 2: type 'int'"),
        ("A,a,INT[0]", "line 2: type 'INT[0]': an array has at least one element"),
        ("A,a,INT,prass", "line 2: connection 'prass'; did you mean 'press'?; the plant file has press, oven"),
        ('A,a,INT,press,"0,5"', "line 2: scale is '0,5': expected a number with a decimal point"),
        ("A,a,INT,press,nan", "line 2: scale is 'nan'"),
        ("A,a,INT,press,0", "line 2: scale is 0: every value would be the same"),
        ("A,a,STRING,press,2", "line 2: scale and offset are for numbers, not for STRING"),
        ("A,a,INT,press,,,-1", "line 2: deadband -1 is below 0"),
        ("A,a,BOOL,press,,,0.5", "line 2: a deadband is for numbers, not for BOOL"),
        ("A,a,INT,press,,,,fast", "line 2: interval: 'fast' is not a duration"),
        ("A,a,INT,press,,,,1 ms", "line 2: interval '1 ms' is below 10 ms"),
        ("A,a,INT,press,,,,,g,too much", "line 2: more cells than the 9 columns of the first line"),
        ("A[0],a\nA,a,INT[2],press", "line 3: name 'A[0]' is that of line 2, too"),
        ("A,a,INT,press,,,,1 s,g\nB,a,INT,press,,,,2 s,g", "line 3: another interval than line 2 in group 'g'"),
        ("", "no tag in it"),
    ],
)
def test_every_mistake_is_told(tmp_path: Path, line: str, says: str) -> None:
    header = "name,address,type,connection,scale,offset,deadband,interval,group\n"
    (tmp_path / "tags.csv").write_text(f"{header}{line}\n", encoding="utf-8")
    with pytest.raises(Stop) as stopped:
        load_tags(settings(), tmp_path)
    assert f"{tmp_path / 'tags.csv'}: {says}" in str(stopped.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text("name,address,connection\n,a,press\nB,,oven\nC,c,pres\n", encoding="utf-8")
    with pytest.raises(Stop) as stopped:
        load_tags(settings(), tmp_path)
    assert [each.split(": ", 2)[1] for each in str(stopped.value).splitlines()] == ["line 2", "line 3", "line 4"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nam,address\n", "line 1: unknown column 'nam'; did you mean 'name'?"),
        ("name,name,address\n", "line 1: column 'name' stands there twice"),
        ("name\n", "line 1: no column 'address'"),
        ('name,address\n"A,b\n', "cannot be read as CSV"),
    ],
)
def test_a_wrong_header(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "tags.csv").write_text(text, encoding="utf-8")
    with pytest.raises(Stop, match=r"tags\.csv") as stopped:
        load_tags(settings(), tmp_path)
    assert says in str(stopped.value)


def test_a_tag_map_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="no such tag map, which source 'line1' names"):
        load_tags(settings(), tmp_path)
