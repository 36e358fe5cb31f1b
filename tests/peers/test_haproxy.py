"""Behind a real HAProxy: the caller's own address in every form in which it names it, TLS on either side of it, and its
health checks."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file

from tests.support.gateway_process import GatewayProcess
from tests.support.haproxy import SOURCE, HAProxy
from tests.support.peers import echoscu, storescu
from tests.support.processes import REPOSITORY, program, run, until
from tests.support.tls import Certificates, certificates_in

CALLER = "127.0.0.1"
"""The address of dcmtk's programs, which HAProxy tells the gateway."""


def listener(gateway_port: int, **settings: Any) -> dict[str, Any]:
    return {"port": gateway_port, "address": "127.0.0.1", "proxy_protocol": {"from": [SOURCE]}, **settings}


def behind(folder: Path, **settings: Any) -> GatewayProcess:
    """A gateway that takes objects of CT1 alone, from dcmtk's address alone."""
    rules = {
        "peers": {
            "ct1": {"ae_title": "CT1", "may": ["store"], "hosts": [CALLER]},
            "mr1": {"ae_title": "MR1", "may": ["store"], "hosts": [SOURCE]},
        },
        "unmatched": "discard",
    }
    gateway = GatewayProcess(folder / "gateway", rules, settings={"admit": "known"})
    gateway.settings["listeners"] = [listener(gateway.port, **settings)]
    gateway.write_rules(rules)
    return gateway


def accepted(gateway: GatewayProcess) -> set[tuple[str, str | None]]:
    """Address and balancer of each association."""
    events = [event for event in gateway.events() if event["event"] == "association_accepted"]
    return {(event["remote_host"], event.get("proxy_host")) for event in events}


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return certificates_in(tmp_path / "tls")


@pytest.mark.parametrize(
    "words",
    ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"],
    ids=["version 1", "version 2", "version 2 with type-length-values"],
)
async def test_objects_come_from_the_caller_itself(running: AsyncExitStack, tmp_path: Path, words: str) -> None:
    gateway = await running.enter_async_context(behind(tmp_path))
    haproxy = await running.enter_async_context(HAProxy(tmp_path / "haproxy", gateway.port, words))
    files = [Path(str(get_testdata_file(name))) for name in ("CT_small.dcm", "MR_small.dcm", "rtdose.dcm")]
    sent = await storescu(haproxy.port, files, calling="CT1")
    assert sent.returncode == 0, sent.output
    assert await gateway.metric("gateway_received_instances_total", peer="ct1", status="0x0000") == 3
    assert (await echoscu(gateway.port, calling="CT1")).returncode == 0  # past the balancer, without a header
    assert (await echoscu(haproxy.port, calling="MR1")).returncode != 0  # it may call from the balancer alone
    assert accepted(gateway) == {(CALLER, SOURCE), (CALLER, None)}
    assert await gateway.metric("gateway_proxy_headers_rejected_total") == 0


async def test_without_the_header_nothing_of_the_balancer_is_taken(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(behind(tmp_path))
    haproxy = await running.enter_async_context(HAProxy(tmp_path / "haproxy", gateway.port, ""))
    assert (await echoscu(haproxy.port, calling="CT1")).returncode != 0
    (told,) = [event for event in gateway.events() if event["event"] == "proxy_header_rejected"]
    assert (told["remote_host"], told["reason"]) == (SOURCE, "the first bytes are no PROXY header")


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2"])
async def test_tls_that_is_passed_through(
    running: AsyncExitStack, tmp_path: Path, certificates: Certificates, words: str
) -> None:
    server = certificates.server
    tls = {"certificate": server.certificate, "key": server.key}
    gateway = await running.enter_async_context(behind(tmp_path, tls=tls))
    haproxy = await running.enter_async_context(HAProxy(tmp_path / "haproxy", gateway.port, words))
    options = ["+tla", "+cf", certificates.authority.certificate]
    done = await echoscu(haproxy.port, calling="CT1", options=options)
    assert done.returncode == 0, done.output
    assert accepted(gateway) == {(CALLER, SOURCE)}


async def test_tls_that_ends_at_the_balancer(
    running: AsyncExitStack, tmp_path: Path, certificates: Certificates
) -> None:
    """Its header has what it knows of TLS besides, which is passed over."""
    pem = tmp_path / "haproxy.pem"
    pem.write_text(Path(certificates.server.certificate).read_text() + Path(certificates.server.key).read_text())
    gateway = await running.enter_async_context(behind(tmp_path))
    haproxy = await running.enter_async_context(
        HAProxy(tmp_path / "haproxy", gateway.port, "send-proxy-v2-ssl-cn", bind=f"ssl crt {pem}")
    )
    options = ["+tla", "+cf", certificates.authority.certificate]
    done = await echoscu(haproxy.port, calling="CT1", options=options)
    assert done.returncode == 0, done.output
    assert accepted(gateway) == {(CALLER, SOURCE)}


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2"])
async def test_health_checks_of_the_dicom_port_leave_no_trace(
    running: AsyncExitStack, tmp_path: Path, words: str
) -> None:
    """They send a header (LOCAL in version 2) and end."""
    gateway = await running.enter_async_context(behind(tmp_path))
    haproxy = await running.enter_async_context(
        HAProxy(tmp_path / "haproxy", gateway.port, f"{words} check inter 50ms")
    )

    async def is_checked() -> bool:
        taken, server = await gateway.metric("gateway_connections_total"), await haproxy.server()
        return taken >= 10 and server["check_status"] == "L4OK" and server["status"].startswith("UP")

    await until(is_checked)
    of_the_start = {"config_problem_found"}  # MR1 may call from a balancer alone
    assert {event["event"] for event in gateway.events() if event["level"] != "info"} <= of_the_start
    assert await gateway.metric("gateway_proxy_headers_rejected_total") == 0


async def test_health_checks_of_readyz(running: AsyncExitStack, tmp_path: Path) -> None:
    """As docs/balancer.md has them: what is not ready gets nothing."""
    gateway = await running.enter_async_context(behind(tmp_path))
    haproxy = await running.enter_async_context(
        HAProxy(
            tmp_path / "haproxy",
            gateway.port,
            f"send-proxy-v2 check port {gateway.http_port} inter 100ms",
            backend="option httpchk GET /readyz\n  timeout check 60s",
        )
    )

    async def has_status(status: str) -> bool:
        return (await haproxy.server())["check_status"] == status

    async def is_up() -> bool:
        return (await haproxy.server())["status"] == "UP"

    await until(lambda: has_status("L7OK"))
    await until(is_up)
    assert (await echoscu(haproxy.port, calling="CT1")).returncode == 0
    (gateway.folder / "spool").rename(gateway.folder / "elsewhere")  # it takes no object now
    await until(lambda: has_status("L7STS"))
    assert (await haproxy.server())["last_chk"] != ""
    (gateway.folder / "elsewhere").rename(gateway.folder / "spool")
    await until(lambda: has_status("L7OK"))


@pytest.mark.parametrize("page_name", ["balancer.md", "cluster.md"])
async def test_the_settings_in_the_page_are_right(tmp_path: Path, page_name: str) -> None:
    page = (REPOSITORY / "docs" / page_name).read_text()
    settings = tmp_path / "haproxy.cfg"
    settings.write_text(page.partition("```text\n")[2].partition("```")[0])
    assert "send-proxy-v2 check port 8080" in settings.read_text()
    done = await run([program("haproxy"), "-c", "-f", settings])
    assert (done.returncode, done.output.strip()) == (0, "Configuration file is valid")
