"""The tape of a function as a table, as a picture, and as a profile."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygrad_digits as td

PARAMS = {"w": np.ones((3, 2)), "b": np.zeros(2, np.float32)}
X = np.arange(12.0).reshape(4, 3)
SVG = "{http://www.w3.org/2000/svg}"


def layer(params, x, scale=2.0):
    return {"mean": np.mean(np.tanh(x @ params["w"] + params["b"]) * scale)}


# --- the table


def test_the_table_names_inputs_ops_and_results():
    lines = str(td.record(layer, PARAMS, X, 3.0)).splitlines()
    words = [re.split(r"\s{2,}", line) for line in lines]
    assert [w[1] for w in words[:4]] == ["params['w']", "params['b']", "x", "scale"]
    assert [w[1] for w in words[4:]] == ["matmul", "add", "tanh", "multiply", "mean"]
    assert words[4][2:5] == ["%2, %0", "(4, 2)", "float64"]
    assert words[-1][-1] == "-> y['mean']"
    starts = {line.index("float") for line in lines}
    assert len(starts) == 1, "the columns are aligned"


def test_keyword_arguments_and_constants_are_named():
    text = str(td.record(layer, PARAMS, x=X.astype(np.float32)))
    assert re.search(r"%\d+ +x +\(4, 3\) +float32", text)
    ints = str(td.record(lambda x, n: x * n, X, np.arange(3)))
    assert "int64[3]" in ints


def test_a_gradient_is_recorded_with_its_backward_pass():
    forward = td.record(lambda x: np.sum(np.sin(x)), X)
    both = td.record(td.grad(lambda x: np.sum(np.sin(x))), X)
    assert [r.name for _, r in forward] == ["input", "sin", "sum"]
    names = [r.name for _, r in both]
    assert names[:3] == ["input", "sin", "sum"]
    assert "cos" in names[3:]
    index, last = [*both][-1]
    np.testing.assert_array_equal(last.value, np.cos(X))
    assert both.outputs == {index: "y"}


def test_values_are_what_the_function_gives_without_it():
    recording = td.record(layer, PARAMS, X, 3.0)
    (index,) = recording.outputs
    value = recording.tape[index].value
    expected = layer(PARAMS, X, 3.0)["mean"]
    assert value == expected
    assert value.dtype == expected.dtype


def test_python_numbers_stay_weak():
    x = np.ones(2, np.float32)
    recording = td.record(lambda x, r: x * (2 * r + r**2), x, 0.5)
    assert {str(r.dtype) for i, r in recording if i in recording.outputs} == {"float32"}
    assert td.record(td.grad(lambda y: y * y), 3.0).tape[0].dtype == np.float64


def test_an_input_may_be_a_result():
    recording = td.record(lambda x: (x, [x * 2, 3]), X)
    assert list(recording.outputs.values()) == ["y[0]", "y[1][0]"]


def test_a_function_that_raises_leaves_a_closed_tape():
    kept = []

    def f(x):
        kept.append(x)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        td.record(f, X)
    with pytest.raises(td.errors.EscapedTensorError):
        kept[0] + 1


def test_an_option_cannot_be_a_tensor():
    with pytest.raises(td.errors.NotDifferentiableError, match="ddof"):
        td.record(lambda x: np.var(x, ddof=x[0, 0]), X)


# --- the picture


def boxes(svg):
    """(x, y, width, height, texts) of every node."""
    found = []
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        place = [float(rect.get(key)) for key in ("x", "y", "width", "height")]
        found.append((*place, [text.text for text in group.findall(f"{SVG}text")]))
    return found


def deep(params, x):
    for _ in range(12):
        x = np.tanh(x @ params["w"].T @ params["w"] + x)
    return np.sum(x)


@pytest.mark.parametrize("f", [layer, deep, td.grad(deep)])
def test_every_op_is_drawn_and_none_overlaps_another(f):
    params = {"w": np.ones((3, 3)), "b": np.zeros(3)}
    recording = td.record(f, params, X)
    drawn = boxes(recording.svg())
    names = [box[4][0].partition(" →")[0] for box in drawn]
    for _, record in recording:
        if record.op is not None:
            assert record.name in names
    width, height = (float(n) for n in ET.fromstring(recording.svg()).get("viewBox").split()[2:])
    for i, (x, y, w, h, _) in enumerate(drawn):
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        for other_x, other_y, other_w, other_h, _ in drawn[i + 1 :]:
            apart = x + w <= other_x or other_x + other_w <= x
            assert apart or y + h <= other_y or other_y + other_h <= y


def test_edges_lead_down_from_parent_to_child():
    root = ET.fromstring(td.record(layer, PARAMS, X).svg())
    paths = [path.get("d") for path in root.iter(f"{SVG}path")]
    assert len(paths) >= 6
    for path in paths:
        numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", path)]
        assert numbers[1] < numbers[7], "an edge ends below where it starts"


def test_names_are_escaped():
    recording = td.record(lambda p: p["<&>"] * 2, {"<&>": X})
    assert "&lt;&amp;&gt;" in recording.svg()
    ET.fromstring(recording.svg())


def test_a_long_tape_is_cut_and_says_so():
    recording = td.record(lambda x: np.sum(sum(x * k for k in range(50))), X)
    svg = recording.svg(limit=10)
    assert f"the first 10 of {len(recording)} ops" in svg
    assert len(boxes(svg)) == 10


def test_a_notebook_shows_the_picture():
    recording = td.record(layer, PARAMS, X)
    assert recording._repr_svg_() == recording.svg()
    assert recording.svg().startswith("<svg")


def test_dot_has_a_node_for_each_record_and_an_edge_for_each_operand():
    recording = td.record(layer, PARAMS, X)
    dot = recording.dot()
    assert dot.count("[label=") == len(recording)
    edges = sum(p is not None for _, r in recording for p in r.parents)
    assert dot.count(" -> n") == edges
    assert dot.startswith("digraph")
    assert dot.rstrip().endswith("}")


# --- the profile


def test_a_profile_has_each_op_there_and_back_sorted_by_cost():
    x = np.ones((100, 100))
    profile = td.profile(lambda a, b: np.sum(np.exp(a) @ b), x, x, seconds=0.01)
    assert sorted(c.op for c in profile.costs) == ["exp", "matmul", "sum"]
    seconds = [c.seconds for c in profile.costs]
    assert seconds == sorted(seconds, reverse=True)
    assert all(c.forward > 0 and c.backward > 0 for c in profile.costs)
    by_name = {c.op: c for c in profile.costs}
    assert by_name["matmul"].forward_bytes == 80_000
    assert by_name["matmul"].backward_bytes == 160_000
    assert by_name["sum"].forward_bytes == 8


def test_what_only_constants_reach_has_no_backward_pass():
    def f(x):
        np.exp(x)  # not used
        return x * 2

    costs = {c.op: c for c in td.profile(f, X, seconds=0.0).costs}
    assert costs["exp"].backward == 0
    assert costs["multiply"].backward > 0


def test_a_profile_by_op_adds_up():
    profile = td.profile(lambda x: np.tanh(np.tanh(x)) * 2, X, seconds=0.0)
    (tanh,) = [c for c in profile.by_op().costs if c.op == "tanh"]
    assert tanh.calls == 2
    assert tanh.forward == sum(c.forward for c in profile.costs if c.op == "tanh")
    assert profile.total.calls == 3
    assert profile.rounds >= 3


def test_a_profile_is_a_table_with_a_total():
    lines = str(td.profile(layer, PARAMS, X, seconds=0.0)).splitlines()
    assert lines[0].split() == ["op", "forward", "backward", "share", "makes", "backward", "makes"]
    assert lines[-2].startswith("total")
    assert "100.0%" in lines[-2]
    short = td.profile(layer, PARAMS, X, seconds=0.0).table(2)
    assert re.search(r"^3 more +3 calls", short, re.M)


def test_a_function_of_nothing_has_no_profile():
    with pytest.raises(td.errors.NotDifferentiableError, match="no argument"):
        td.profile(lambda x: 1.0, X)
