"""Where settings come from, which wins, and what is refused (ecosystem 5, config)."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from taskmaster.errors import InvalidFieldError
from taskmaster.settings import Settings, load, show


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of this directory counts."""
    monkeypatch.chdir(tmp_path)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def refusal(**given: object) -> InvalidFieldError:
    with pytest.raises(InvalidFieldError) as raised:
        load(**given)  # pyright: ignore[reportArgumentType]  # each test knows what it gives
    return raised.value


def test_nothing_given_is_a_server_for_this_machine() -> None:
    loaded = load(environ={})

    assert loaded.settings == Settings()
    assert loaded.settings.http.host == "127.0.0.1"
    assert loaded.settings.grace_ns == 30_000_000_000
    assert set(loaded.origins.values()) == {"default"}


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = written(
        tmp_path / "c.toml",
        'store = "file.db"\n[http]\nport = 1\nhost = "127.0.0.2"\n[log]\nlevel = "debug"\n',
    )

    loaded = load(
        flags={"http.port": 3, "http.host": None},
        environ={"TASKMASTER_HTTP__PORT": "2", "TASKMASTER_STORE": "env.db"},
        file=file,
    )

    settings = loaded.settings
    assert (settings.store, settings.http.port, settings.http.host) == ("env.db", 3, "127.0.0.2")
    assert settings.log.level == "debug"
    assert loaded.origins["store"] == "TASKMASTER_STORE"
    assert loaded.origins["http.port"] == "flag --port"
    assert loaded.origins["http.host"] == str(file)
    assert loaded.origins["log.format"] == "default"


def test_the_file_of_this_directory_counts_where_none_is_named(tmp_path: Path) -> None:
    written(tmp_path / "taskmaster.toml", 'store = "here.db"\n')

    assert load(environ={}).settings.store == "here.db"


def test_lists_are_lists_or_separated_by_commas(tmp_path: Path) -> None:
    file = written(tmp_path / "c.toml", '[egress]\nallow = ["10.0.0.0/8"]\n')

    of_file = load(environ={}, file=file)
    of_environ = load(environ={"TASKMASTER_EGRESS__ALLOW": "10.0.0.0/8, fd00::/8"})

    assert of_file.settings.networks == (ip_network("10.0.0.0/8"),)
    assert of_environ.settings.networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def test_a_secret_is_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    secret = written(tmp_path / "secret", "whsec_abc\n")
    file = written(tmp_path / "c.toml", f'[signing]\n"a.b" = "whsec_x"\nc_file = "{secret}"\n')

    loaded = load(
        environ={
            "TASKMASTER_SIGNING__billing_FILE": str(secret),
            "TASKMASTER_STORE": "postgresql://me:pw@db/tasks",
        },
        file=file,
    )

    signing = loaded.settings.signing
    assert signing == {"a.b": "whsec_x", "c": "whsec_abc", "billing": "whsec_abc"}
    shown = {one.name: one.value for one in show(loaded)}
    assert shown["signing.billing"] == shown["signing.a.b"] == "***"
    assert shown["store"] == "postgresql://me:***@db/tasks"
    assert "whsec" not in str(show(loaded))


def test_every_setting_is_shown_with_its_origin() -> None:
    shown = show(load(environ={"TASKMASTER_HTTP__NAMES": "a.example,b.example"}))

    by_name = {one.name: one for one in shown}
    assert by_name["http.names"].value == "a.example, b.example"
    assert by_name["http.names"].origin == "TASKMASTER_HTTP__NAMES"
    assert by_name["delivery.in_flight"].value == "512"
    assert [one.name for one in shown] == sorted(by_name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stor = 1\n", "did you mean store"),
        ("[http]\nprot = 1\n", "did you mean http.port"),
        ("[htp]\nport = 1\n", "did you mean http.port"),
        ("http = 1\n", "did you mean http"),
        ("[http]\nport = 'many'\n", "http.port"),
        ("[http]\nport = 70000\n", "http.port"),
        ("[http\n", "is no TOML"),
        ("[delivery]\nsender = 'curl'\n", "delivery.sender"),
        ("[delivery]\nin_flight = 0\n", "delivery.in_flight"),
        ("[egress]\nallow = ['10.0.0.1/8']\n", "egress.allow"),
        ("[egress]\nallow = 5\n", "egress.allow"),
        ("[log]\nlevel = 'loud'\n", "log.level"),
        ("[shutdown]\ngrace = 'soon'\n", "shutdown.grace"),
        ("[shutdown]\ngrace = -1\n", "shutdown.grace"),
        ("[signing]\ng_file = '/nowhere'\n", "/nowhere"),
        ("[signing]\ng = 5\n[signing.h]\nx = 1\n", "signing"),
        ("store = ''\n", "store"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    error = refusal(environ={}, file=written(tmp_path / "c.toml", text))

    assert says in str(error)
    assert error.remedy
    assert "\n" not in str(error)


def test_an_unknown_variable_is_refused_with_the_nearest_name() -> None:
    assert "did you mean http.port" in str(refusal(environ={"TASKMASTER_HTTP__PROT": "1"}))


def test_one_underscore_too_few_is_noticed() -> None:
    error = refusal(environ={"TASKMASTER_HTTP_PORT": "1"})

    assert "did you mean TASKMASTER_HTTP__PORT" in str(error)


def test_variables_that_others_make_are_left_alone() -> None:
    """Kubernetes makes these for a service named taskmaster; the others are the client's."""
    environ = {
        "TASKMASTER_PORT": "tcp://10.0.0.1:80",
        "TASKMASTER_SERVICE_HOST": "10.0.0.1",
        "TASKMASTER_PORT_80_TCP_ADDR": "10.0.0.1",
        "TASKMASTER_URL": "http://localhost",
        "TASKMASTER_TOKEN": "tm_x",
        "TASKMASTER_CRASH_AT": "",
        "HOME": "/root",
    }

    assert load(environ=environ).settings == Settings()


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert "is not there" in str(refusal(environ={}, file=tmp_path / "none.toml"))
