"""The notebook runs from top to bottom, says what it promises, and is kept without its outputs."""

import json
import os
import re
import sys
import warnings
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "nn_handdigits.ipynb"
JUPYTER = r"(jupyter_client|jupyter_core|nbclient|tornado|zmq)\b"
"""Whose warnings are not about the notebook."""


def read():
    return nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """{a cell's id: its outputs}, by a kernel of this interpreter that no setting here touches."""
    folder = tmp_path_factory.mktemp("notebook")
    kernel = folder / "data" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    kernel.write_text(json.dumps(spec), encoding="utf-8", newline="\n")
    homes = {
        "JUPYTER_PATH": "data", "JUPYTER_DATA_DIR": "data", "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as environment, warnings.catch_warnings():
        for name, home in homes.items():
            environment.setenv(name, os.fspath(folder / home))
        warnings.filterwarnings("ignore", module=JUPYTER)
        import nbclient  # here, since some versions of what it needs warn as soon as imported

        notebook = read()
        client = nbclient.NotebookClient(
            notebook,
            kernel_name="python3",
            resources={"metadata": {"path": os.fspath(folder)}},
            timeout=300,
        )
        client.execute()  # raises CellExecutionError for a cell that fails
    assert {path.name for path in folder.iterdir()} <= {*homes.values()}, "it leaves files behind"
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def printed(outputs):
    return "".join(output.text for output in outputs if output.output_type == "stream")


def number(pattern, outputs):
    (found,) = re.findall(pattern, printed(outputs))
    return float(found)


def mime_types(outputs):
    return {kind for output in outputs for kind in output.get("data", {})}


def test_no_cell_fails_or_warns(executed):
    outputs = [output for outputs in executed.values() for output in outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    said = [output.text for output in outputs if output.get("name") == "stderr"]
    assert "Warning" not in "".join(said)  # matplotlib may say there that it looks for fonts


def test_it_reads_the_held_out_digits(executed):
    assert number(r"held-out accuracy: (\S+) %", executed["accuracy"]) >= 97


def test_the_gradient_agrees_with_hand_and_differences(executed):
    assert number(r"tape against hand: (\S+)", executed["by-hand"]) < 1e-14
    assert number(r"tape against differences: (\S+)", executed["by-differences"]) < 1e-8


def test_the_tape_is_printed_and_drawn(executed):
    assert re.search(r"^%\d+ +relu +%\d+", printed(executed["record"]), re.MULTILINE)
    (drawn,) = executed["draw"]
    assert drawn.data["image/svg+xml"].startswith("<svg")
    assert "matmul" in drawn.data["image/svg+xml"]


@pytest.mark.parametrize("cell", ["look", "curves", "confusion", "saliency", "each", "jacobian"])
def test_pictures_are_drawn(executed, cell):
    assert "image/png" in mime_types(executed[cell])


def test_the_infinity_is_found(executed):
    said = printed(executed["debug"])
    assert "log made an infinity" in said
    assert "np.log(probabilities" in said
    assert "td.nn.log_softmax" in said


def test_the_file_holds_no_outputs_and_diffs_well():
    notebook = read()
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z-]+", cell.id), "a cell's id is a word, so that it stays"
        assert not cell.metadata
        if cell.cell_type == "code":
            assert not cell.outputs, f"strip the outputs of {cell.id}"
            assert cell.execution_count is None
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert NOTEBOOK.read_bytes() == (nbformat.writes(notebook) + "\n").encode()
