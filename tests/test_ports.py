"""The gradients of the examples: the same from the tape, a program and the peers, and a table."""

import importlib.util
import re

import numpy as np
import pytest

import tinygrad_digits as td
from benchmarks import ports
from benchmarks.contenders import JIT


@pytest.mark.parametrize("name", ports.PORTS)
def test_gradients_of_examples_have_the_same_bits_under_jit(name):
    eager = ports.own_gradient(name, lambda f: f)()
    jitted = ports.own_gradient(name, td.jit)()
    assert ports.distance(eager) > 0
    td.tree.map(np.testing.assert_array_equal, eager, jitted)


@pytest.mark.parametrize("name", ports.PORTS)
def test_gradients_are_differences(name, rng):
    module, port = ports.load(name), ports.PORTS[name]
    first, *rest = td.tree.map(double, port.arguments(module))
    direction = td.tree.map(lambda x: rng.standard_normal(np.shape(x)), first)

    def along(t):
        params = td.tree.map(lambda x, d: x + t * d, first, direction)
        return getattr(module, port.loss)(params, *rest)

    step = 1e-6
    difference = (along(step) - along(-step)) / (2 * step)
    assert td.grad(along)(0.0) == pytest.approx(difference, rel=1e-6)


def double(x):
    return x.astype(float) if getattr(x, "dtype", None) == np.float32 else x


@pytest.mark.parametrize("name", ports.PORTS)
def test_gradients_are_those_of_the_peers_that_are_installed(name):
    ours = ports.own_gradient(name, lambda f: f)()
    for peer, make in ports.PEERS.items():
        if importlib.util.find_spec(peer):
            off = ports.distance(make(name)(), ours) / ports.distance(ours)
            assert off < ports.TOLERANCE, peer


def test_gradients_are_a_table(monkeypatch):
    monkeypatch.setattr(ports, "BACKENDS", {JIT: ("numpy", [])})
    monkeypatch.setattr(ports, "PEERS", {"json": lambda name: None})  # a module, but no gradient
    measured = ports.measure("variational_autoencoder", budget=0)
    assert measured["json"] == "TypeError"
    head, _, row = ports.rows({"variational_autoencoder": measured})
    assert head == "| gradient of | eager | jit | json |"
    assert re.fullmatch(
        r"\| variational_autoencoder: .*( \| \S+ ms \(\S+ s\)){2} \| TypeError \|", row
    )


def test_gradients_that_differ_are_not_timed(monkeypatch):
    gradient = ports.own_gradient("variational_autoencoder", td.jit)
    bent = {"json": lambda name: lambda: td.tree.map(lambda g: 1.01 * g, gradient())}
    monkeypatch.setattr(ports, "BACKENDS", {})
    monkeypatch.setattr(ports, "PEERS", bent)
    with pytest.raises(AssertionError, match=r"variational_autoencoder: json is off by 1\.0e-02"):
        ports.measure("variational_autoencoder", budget=0)
