"""Variables that Kubernetes sets for Services are no settings, whatever a Service is called."""

import os

import pytest
from structlog.testing import capture_logs

from server.cli.redis_url import server_redis
from server.core.errors import SettingsError
from server.core.settings import read_settings
from server.core.settings.service_links import MAX_LOGGED, is_service_link, without_service_links
from server.engine.vllm.frontend.environment import engine_environment

SERVICES = [
    "gemserve",
    "gemserve-managed-redis",  # whose …_PORT is a setting
    "gemserve-own-redis",  # whose …_PORT is a setting's former name
    "gemserve-redis",
    "gemserve-engine--max-width",  # which looks nested
    "gemserve-keys",
    "gemserver",  # within two letters
    "serve-managed-redis",
    "vllm",
    "shop-7",
]


def links(service: str, address: str = "10.0.0.1", port: int = 8000, protocol: str = "tcp") -> dict[str, str]:
    """As the kubelet writes them (kubernetes/pkg/kubelet/envvars/envvars.go)."""
    name = service.upper().replace("-", "_")
    host = f"[{address}]" if ":" in address else address
    part = f"{name}_PORT_{port}_{protocol.upper()}"
    return {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": str(port),
        f"{name}_SERVICE_PORT_HTTP_API": str(port),
        f"{name}_PORT": f"{protocol}://{host}:{port}",
        part: f"{protocol}://{host}:{port}",
        f"{part}_PROTO": protocol,
        f"{part}_PORT": str(port),
        f"{part}_ADDR": address,
    }


def put(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
@pytest.mark.parametrize("address", ["10.0.0.1", "fd00:10:96::1"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_server_starts_beside_a_service(
    service: str, address: str, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(links(service, address, protocol=protocol), monkeypatch)
    settings = read_settings(["--bundles", "out"])
    assert (settings.port, settings.managed_redis_port, settings.engine.max_width) == (8000, 0, 200)
    assert server_redis() == "redis://127.0.0.1:6379/0"


@pytest.mark.parametrize("variable", sorted(links("gemserve")))
def test_each_variable_alone(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, links("gemserve")[variable])
    assert read_settings(["--bundles", "out"]).port == 8000


@pytest.mark.parametrize("address", ["fd00:10:96::1", "::1", "2001:db8::10.0.0.1"])
def test_an_address_without_brackets_is_one_too(address: str) -> None:
    """As kubelets before 1.10 wrote them."""
    assert is_service_link("GEMSERVE_PORT", f"tcp://{address}:8000")
    assert is_service_link("GEMSERVE_PORT_8000_TCP", f"tcp://{address}:8000")
    assert not is_service_link("GEMSERVE_PORT_8000_TCP", f"tcp://{address}:8001")
    assert not is_service_link("GEMSERVE_PORT", f"tcp://{address}:80000")
    assert not is_service_link("GEMSERVE_PORT", "tcp://cafe:8000")


def test_a_setting_of_the_same_name_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    put(links("gemserve") | {"GEMSERVE_PORT": "9000", "GEMSERVE_HISTORY_DAYS": "7"}, monkeypatch)
    settings = read_settings(["--bundles", "out"])
    assert (settings.port, settings.history_days) == (9000, 7)


def test_a_setting_in_small_letters_beside_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    put(links("gemserve") | {"gemserve_port": "9000"}, monkeypatch)
    assert read_settings(["--bundles", "out"]).port == 9000


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GEMSERVE_PORT", "tcp://"),
        ("GEMSERVE_PORT", "http://10.0.0.1:8000"),
        ("GEMSERVE_PORT", "tcp://10.0.0.1"),
        ("GEMSERVE_PORT", "tcp://gemserve:8000"),
        ("GEMSERVE_PORT", "tcp://10.0.0.1:80000"),
        ("GEMSERVE_SERVICE_HOST", "0.0.0.0/0"),
        ("GEMSERVE_SERVICE_PORT", "eighty"),
        ("GEMSERVE_PORT_8000_TCP", "tcp://10.0.0.1:8001"),
        ("GEMSERVE_PORT_8000_TCP_PORT", "8001"),
        ("GEMSERVE_PORT_8000_TCP_PROTO", "udp"),
        ("GEMSERVE_PORTS_8000_TCP_ADDR", "ten"),
        ("GEMSERVE_KEY", "tcp://10.0.0.1:8000"),
        ("GEMSERVER_KEYS", "tcp://10.0.0.1:8000"),
    ],
)
def test_what_only_resembles_a_link_is_refused_as_before(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_service_link(variable, value)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError):
        read_settings(["--bundles", "out"])


def test_they_are_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    put(links("gemserve") | {name: value for n in range(9) for name, value in links(f"a{n}").items()}, monkeypatch)
    with capture_logs() as lines:
        read_settings(["--bundles", "out"])
    told = [line for line in lines if line["event"] == "service_links_passed_over"]
    assert len(told) == 1
    assert told[0]["count"] == 80
    assert told[0]["variables"][:8] == sorted(links("gemserve"))
    assert len(told[0]["variables"]) == MAX_LOGGED


def test_nothing_is_logged_without_one() -> None:
    environment = without_service_links(os.environ)
    with capture_logs() as lines:
        read_settings(["--bundles", "out"], environment)
    assert not lines


@pytest.mark.parametrize("service", ["vllm", "vllm-dp-master", "master", "omp-num-threads"])
def test_an_engine_does_not_see_them(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM ends on VLLM_PORT=tcp://…, torch on MASTER_PORT=tcp://…; a port that the operator chose stays."""
    put(links(service) | {"VLLM_HOST_IP": "10.0.0.9"}, monkeypatch)
    before = dict(os.environ)
    with engine_environment():
        assert not links(service).keys() & os.environ.keys()
        assert os.environ["VLLM_HOST_IP"] == "10.0.0.9"
    assert dict(os.environ) == before


def test_a_port_of_the_operator_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_PORT", "29500")
    with engine_environment():
        assert os.environ["VLLM_PORT"] == "29500"
