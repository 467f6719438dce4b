"""Settings: strict, checked whole before anything starts, and told with the nearest key that there is."""

import re
from pathlib import Path

import pytest
import yaml

from gpuprep.config.file import load_config
from gpuprep.executors.clusters.certificates import make_certificates
from gpuprep.service.settings import Limits, Profile, Settings, Webhooks, load_settings, with_roots
from gpuprep.values.errors import ConfigError, UsageError


def load(folder: Path, **tree) -> Settings:
    (folder / "service.yaml").write_text(yaml.safe_dump(tree))
    return load_settings(folder)


def told(folder: Path, **tree) -> str:
    with pytest.raises(ConfigError) as error:
        load(folder, **tree)
    return str(error.value)


def test_without_a_file_it_is_this_host_s_alone(tmp_path) -> None:
    settings = load_settings(tmp_path)
    assert settings == Settings()
    assert settings.host == "127.0.0.1"
    with pytest.raises(ConfigError, match="cannot read"):
        load_settings(tmp_path, tmp_path / "other.yaml")


@pytest.mark.parametrize(
    ("tree", "where", "near"),
    [
        ({"root": {}}, "root", "roots"),
        ({"limits": {"job": 1}}, "limits.job", "jobs"),
        ({"profiles": {"ct": {"slot": 1}}}, "profiles.ct.slot", "slots"),
        ({"profiles": {"config": {"slot": 1}}}, "profiles.config.slot", "slots"),
        ({"webhooks": {"host": []}}, "webhooks.host", "hosts"),
        ({"clusters": {"big": {"adress": "x"}}}, "clusters.big.adress", "address"),
    ],
)
def test_a_key_that_is_none_gets_the_nearest(tmp_path, tree, where: str, near: str) -> None:
    assert f"{where}: unknown key; did you mean {near!r}?" in told(tmp_path, **tree)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"port": 70000}, "port: "),
        ({"limits": {"jobs": 0}}, "limits.jobs: "),
        ({"limits": {"memory": "5 apples"}}, "limits.memory: "),
        ({"limits": {"body_seconds": float("inf")}}, "limits.body_seconds: "),
        ({"limits": {"devices": [-1]}}, "limits.devices.0: "),
        ({"roots": {"a/b": "/tmp"}}, "'a/b' is no name"),
        ({"profiles": {"..": {}}}, "'..' is no name"),
        ({"names": ["http://x.example"]}, "names.0: "),
        ({"names": ["x.example:80"]}, "names.0: "),
        ({"cors": ["*"]}, "cors.0: "),
        ({"cors": ["https://x.example/"]}, "cors.0: "),
        ({"on_stop": "kill"}, "on_stop: "),
        ({"version": 2}, "version: "),
    ],
)
def test_what_is_wrong_is_told_with_its_key(tmp_path, tree, said: str) -> None:
    assert said in told(tmp_path, **tree)


def test_paths_are_those_beside_the_settings(tmp_path, monkeypatch) -> None:
    """Whatever folder the service is started in."""
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "configs").mkdir()
    (home / "configs/ct.yaml").write_text("image: {resample: {reference: grid.nii}}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load(
        home,
        roots={"data": "data"},
        outputs="out",
        profiles={
            "ct": {"config": "configs/ct.yaml"},
            "mr": {"config": {"image": {"resample": {"reference": "grid.nii"}}}},
        },
    )
    assert settings.roots == {"data": str(home / "data")}
    assert settings.outputs == str(home / "out")
    expected = load_config(home / "configs/ct.yaml").image.resample.reference
    assert settings.config_of("ct").image.resample.reference == expected
    assert settings.config_of("mr").image.resample.reference.path == str(home / "grid.nii")
    assert load(home, outputs="s3://bucket/out").outputs == "s3://bucket/out"


def test_roots_and_profiles_are_there_and_right(tmp_path) -> None:
    (tmp_path / "file").touch()
    assert "root data" in told(tmp_path, roots={"data": "nowhere"})
    assert "root data" in told(tmp_path, roots={"data": "file"})
    assert "nowhere.yaml" in told(tmp_path, profiles={"ct": {"config": "nowhere.yaml"}})
    wrong = told(tmp_path, profiles={"ct": {"config": {"stores": {}}}})
    assert "profile ct" in wrong
    assert "did you mean 'store'?" in wrong
    with pytest.raises(UsageError, match="NAME=PATH"):
        with_roots(Settings(), ["data"])
    with pytest.raises(UsageError, match="NAME=PATH"):
        with_roots(Settings(), ["../x=/tmp"])
    given = with_roots(Settings(), [f"data={tmp_path}"])
    assert given.roots == {"data": str(tmp_path)}


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "", "node7", "169.254.1.1"])
def test_nothing_listens_beyond_this_host_in_plain_text(tmp_path, host: str) -> None:
    assert "plain text" in told(tmp_path, host=host, names=["prep.example"])
    settings = load(tmp_path, host=host, names=["prep.example"], behind_proxy=True)
    assert settings.host == host


def test_who_listens_everywhere_says_how_it_is_called(tmp_path) -> None:
    assert "has no name" in told(tmp_path, host="0.0.0.0", behind_proxy=True)
    assert load(tmp_path, host="10.1.2.3", behind_proxy=True).host == "10.1.2.3"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.1.1"])
def test_this_host_needs_no_tls(tmp_path, host: str) -> None:
    assert load(tmp_path, host=host).host == host


def test_certificates_are_tried_before_they_are_needed(tmp_path) -> None:
    _, cert, key = make_certificates(tmp_path / "tls")
    both = {"tls_certificate": "tls/cert.pem", "tls_key": "tls/key.pem"}
    settings = load(tmp_path, host="10.1.2.3", **both)
    assert (settings.tls_certificate, settings.tls_key) == (str(cert), str(key))
    assert "belong together" in told(tmp_path, tls_certificate="tls/cert.pem")
    assert "belong together" in told(tmp_path, tls_key="tls/key.pem")
    assert "cannot be used" in told(tmp_path, **{**both, "tls_key": "tls/none.pem"})
    assert "cannot be used" in told(tmp_path, **{**both, "tls_key": "tls/cert.pem"})
    make_certificates(tmp_path / "others")
    assert "cannot be used" in told(tmp_path, **{**both, "tls_key": "others/key.pem"})


def test_an_error_says_where_all_keys_are_told(tmp_path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, root={})
    page = re.search(r"gpuprep guide (\w+)", error.value.advice)
    assert page
    text = (Path(__file__).parents[2] / "gpuprep/guide" / f"{page[1]}.md").read_text()
    whole, *parts = [
        yaml.safe_load(block)
        for block in re.findall(r"```yaml settings\n(.*?)```", text, re.DOTALL)
    ]
    for tree in (whole, *parts):
        Settings.model_validate(tree)
    assert set(whole) == set(Settings.model_fields)
    assert set(whole["limits"]) == set(Limits.model_fields)
    assert set(whole["webhooks"]) == set(Webhooks.model_fields)
    assert set(next(iter(whole["profiles"].values()))) == set(Profile.model_fields)
