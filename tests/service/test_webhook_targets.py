"""Where webhooks may go, by the list of hosts and by the addresses that these have."""

import asyncio

import pytest

from gpuprep.service.jobs.targets import check_listed, find_target
from gpuprep.service.problems import Problem


@pytest.mark.parametrize(
    ("host", "hosts", "may"),
    [
        ("127.0.0.1", ("127.0.0.1",), True),
        ("127.0.0.1", ("*",), False),
        ("localhost", ("localhost",), True),
        ("localhost", ("local*",), False),
        ("127.0.0.1", (), False),
        ("8.8.8.8", ("*",), True),
        ("10.1.2.3", ("*",), False),
        ("10.1.2.3", ("10.1.2.3",), True),
        ("169.254.169.254", ("169.254.*",), False),
        ("[::1]", ("*",), False),
        ("[::ffff:127.0.0.1]", ("*",), False),
        ("[::ffff:169.254.169.254]", ("*",), False),
        ("0.0.0.0", ("*",), False),
    ],
)
def test_where_webhooks_may_go(host, hosts, may) -> None:
    url = f"http://{host}/hook"
    if may:
        target = asyncio.run(find_target(url, hosts))
        assert target.host == host.strip("[]")
    else:
        with pytest.raises(ValueError, match="not"):
            asyncio.run(find_target(url, hosts))


def test_a_name_that_leads_inside_is_no_way_in(monkeypatch) -> None:
    async def resolve(host: str, address: str, hosts: tuple[str, ...]) -> str:
        async def lookup(*_, **__):
            return [(2, 1, 6, "", (address, 80))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
        return (await find_target(f"https://{host}/x", hosts)).url

    for address in ("127.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"):
        with pytest.raises(ValueError, match=address):
            asyncio.run(resolve("a.example.org", address, ("*.example.org",)))
    exact = ("a.example.org",)
    assert asyncio.run(resolve(*exact, "10.0.0.9", exact)) == "https://10.0.0.9:443/x"
    for address in ("169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1"):
        with pytest.raises(ValueError, match="not a place"):
            asyncio.run(resolve(*exact, address, exact))


@pytest.mark.parametrize(
    "url",
    [
        "http://b.org/",
        "ftp://a.org/",
        "http://u:p@a.org/",
        "http://a.org:99999/",
        "http://a.org.b.org/",
    ],
)
def test_a_submission_names_a_listed_host_or_is_refused(url) -> None:
    check_listed("https://a.org/hook", ("a.org",))
    with pytest.raises(Problem) as told:
        check_listed(url, ("a.org",))
    assert (told.value.status, told.value.code) == (422, "E_WEBHOOK")
