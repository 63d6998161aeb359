"""What this machine is."""

import getpass
import socket

import pytest
import torch

from pipeline.training import machine


def test_accelerate_use_cpu_keeps_a_run_off_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in ("1", "true", "YES"):
        monkeypatch.setenv("ACCELERATE_USE_CPU", word)
        assert machine.device_type() == "cpu"
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    assert (machine.device_type() == "cpu") == (not torch.accelerator.is_available())


def test_the_description_names_versions_and_hardware_but_no_person_and_no_host() -> None:
    said = machine.describe()
    assert said["packages"].keys() == set(machine.PACKAGES)
    assert said["cores"] >= 1 and said["device"] and said["processor"]
    words = str(said).replace("'", " ").split()
    assert not {getpass.getuser(), socket.gethostname()} & set(words)
    assert machine.peak_memory_gib()["resident"] > 0.1
