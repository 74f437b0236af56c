"""What is collected: the same names in every process, and tiers of files that exist."""

import pathlib
import re

from tests.conftest import IN_THE_GATE, SLOW


def test_a_test_is_called_the_same_in_every_process(request):
    """Workers compare what they collect: no address, scratch folder or number of a process."""
    of_a_process = re.compile(r"0x[0-9a-f]{5,}|/tmp|pytest-of-|popen-gw| at 0x|<.* object")
    assert not [item.nodeid for item in request.session.items if of_a_process.search(item.nodeid)]


def test_the_files_of_each_tier_are_there():
    here = {path.name for path in pathlib.Path(__file__).parent.glob("test_*.py")}
    assert here >= SLOW | IN_THE_GATE
