import os
import subprocess
import sys

import pytest

LOADS = """
import sys
from kouxing.face.graphs import MeshNetwork
MeshNetwork().close()
print(any(name.startswith(("matplotlib", "sounddevice")) for name in sys.modules))
from mediapipe.python.solutions import drawing_utils
from matplotlib import pyplot
print(drawing_utils.plt.figure is pyplot.figure)
"""


def test_networks_load_without_what_they_do_not_use_which_still_draws_when_asked() -> None:
    told = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "True"]


FORKS = """
import os
from kouxing.errors import OptionError
from kouxing.face.graphs import MeshNetwork
MeshNetwork().close()
child = os.fork()
if not child:
    try:
        MeshNetwork()
    except OptionError as error:
        print("spawn" in str(error), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_is_told_instead_of_dying() -> None:
    told = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == ["True", "0"]


MEANWHILE = """
import sys
from kouxing.face import graphs
with graphs.without_unused():
    assert isinstance(sys.modules["matplotlib"], graphs._Later)
    {line}
print(type(Figure).__name__, isinstance(sys.modules["matplotlib"], graphs._Later))
"""


@pytest.mark.parametrize(
    "line", ["from matplotlib.figure import Figure", "import matplotlib.pyplot as plt; Figure = plt.Figure"]
)
def test_others_may_import_what_is_left_out_while_networks_load(line: str) -> None:
    code = MEANWHILE.format(line=line)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == ["type", "False"]
