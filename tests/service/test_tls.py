"""A service that speaks TLS itself: with its certificate, to clients that trust it, and no other way."""

import socket
import ssl
from pathlib import Path

import httpx
import pytest
import yaml
from support.commands import call
from support.serving import Served, serving

from gpuprep.executors.clusters.certificates import make_certificates
from gpuprep.service.door.tokens import Principal, Tokens


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls") / "keys")[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory, authority: Path) -> Served:
    folder = tmp_path_factory.mktemp("service")
    (folder / "data").mkdir()
    keys = authority.parent
    settings = {"tls_certificate": str(keys / "cert.pem"), "tls_key": str(keys / "key.pem")}
    with serving(folder / "folder", folder / "data", settings) as found:
        yield found


def trusting(authority: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False  # it names a cluster, no host
    return context


def test_a_client_that_trusts_the_authority_is_served(served: Served, authority: Path) -> None:
    assert served.url.startswith("https://127.0.0.1:")
    assert served.link.startswith(served.url + "/login?code=")
    token = Tokens(served.folder).add(Principal("anna"))
    with httpx.Client(verify=trusting(authority), base_url=served.url) as client:
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get("/v1/jobs", headers=headers).json() == {"items": [], "next": None}
        login = client.get(served.link)
        assert login.status_code == 303
        assert "secure" in login.headers["set-cookie"].lower()
        own, plain = {"Origin": served.url}, {"Origin": served.url.replace("https", "http")}
        assert client.post("/logout", headers=plain).status_code == 403
        assert client.post("/logout", headers=own).status_code == 204


def test_a_client_that_does_not_is_not(served: Served) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{served.url}/health/live")


def test_nothing_is_said_in_plain_text(served: Served) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{served.url.replace('https', 'http')}/health/live")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_no_old_version_of_it(served: Served, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        context.minimum_version = context.maximum_version = version
    port = int(served.url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain)


def test_off_this_host_nothing_starts_in_plain_text(tmp_path) -> None:
    (tmp_path / "service.yaml").write_text(yaml.safe_dump({"host": "0.0.0.0", "names": ["x"]}))
    for words in (["--check"], ["--port", "0"]):
        told = call("serve", "--folder", tmp_path, *words, check=2)
        assert "plain text" in " ".join(told.stderr.split())
