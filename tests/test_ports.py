"""The gradients of the examples: the same from the tape, a program and the peers, and a table."""

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
