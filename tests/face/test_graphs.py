import subprocess
import sys

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
