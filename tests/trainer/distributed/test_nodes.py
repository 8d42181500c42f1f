"""The command on two nodes: network namespaces that see each other, and only their own folder of bundles."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from catalog.bundle.folder import current_bundle
from tests.support import world
from tests.support.network_nodes import INTERFACE, can_make_nodes, two_nodes
from tests.support.paths import ROOT

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1")
RUN = (*world.TINY, "training.steps=30")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "GLOO_SOCKET_IFNAME": INTERFACE}
BOUND = 300  # seconds, where a run takes ten


def training(files: tuple[Path, Path], out: Path) -> list[str | Path]:
    items, events = files
    return [ROOT / "trainer/run.py", "--items", items, "--events", events, "--out", out, "--resume", *RUN]


def weights_of(bundles: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(current_bundle(bundles) / "model").state_dict()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return world.write_world(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def of_one_node(files, tmp_path_factory):
    """The weights of the same run by two processes of one node."""
    out = tmp_path_factory.mktemp("one")
    command = [*TORCHRUN[:-1], "2", "--standalone", *training(files, out)]
    environment = os.environ | ENVIRONMENT | {"GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return weights_of(out)


@pytest.mark.slow
@pytest.mark.large
@pytest.mark.skipif(not can_make_nodes(), reason="needs root and network namespaces")
def test_two_nodes_with_disks_of_their_own_train_to_the_weights_of_one(files, of_one_node, tmp_path):
    with two_nodes(tmp_path) as nodes:

        def start_both():
            rendezvous = ("--nnodes", "2", "--master-addr", nodes[0].address, "--master-port", "29500")
            return [
                node.start(
                    *TORCHRUN,
                    *rendezvous,
                    "--node-rank",
                    str(number),
                    *training(files, node.mounted),
                    environment=ENVIRONMENT,
                )
                for number, node in enumerate(nodes)
            ]

        first, second = start_both()
        end = time.monotonic() + BOUND
        while not any(nodes[0].disk.glob(".training/*/checkpoint")):
            assert first.poll() is None, first.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.05)
        nodes[1].kill()
        told = [process.communicate(timeout=BOUND)[0] for process in (first, second)]
        assert first.returncode != 0, f"the other node does not wait for one that is gone: {told}"
        assert any(nodes[0].disk.glob(".training/*/checkpoint"))
        assert not any(nodes[1].disk.glob(".training/*/checkpoint")), "only the first node saves"
        again = start_both()
        told = [process.communicate(timeout=BOUND)[0] for process in again]
        assert [process.returncode for process in again] == [0, 0], "\n".join(told)
    assert not any(tmp_path.glob("disk-*/.training/*"))
    assert not (nodes[1].disk / "current").exists()
    weights = weights_of(nodes[0].disk)
    assert weights.keys() == of_one_node.keys()
    for name, weight in weights.items():
        assert torch.equal(weight, of_one_node[name]), name
