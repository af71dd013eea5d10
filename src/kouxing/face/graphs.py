"""MediaPipe's bundled networks, loaded quietly: the face detector, and the 478-point mesh on a square we choose.

The mesh is run through a graph of our own instead of ``solutions.face_mesh``: that one looks for faces again in every
picture or follows them by itself, while the tracker here knows where its face is and wants that face only.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from kouxing.errors import OptionError
from kouxing.types import Bytes, Float

MESH_PX = 192
"""Side of the picture that the mesh network reads."""

MESH_POINTS = 478

FRAME_US = 33_333
"""Time between two pictures as the mesh network's graph is told: it only asks that time goes on."""

_quiet = threading.RLock()
_home: int | None = None
"""Process that began to use MediaPipe."""

UNUSED = ("matplotlib", "matplotlib.pyplot", "sounddevice")
"""What MediaPipe imports to draw and to record with, which nobody here has it do. The one takes longer than all else it
imports; the other asks a compiler and a linker where PortAudio is, where there is none."""


class _Later(ModuleType):
    """In place of a module until somebody asks it for something; another thread may do so at once."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        for own in [one for one in UNUSED if isinstance(sys.modules.get(one), _Later)]:
            if own.partition(".")[0] == self.__name__.partition(".")[0]:
                sys.modules.pop(own, None)
        return getattr(importlib.import_module(self.__name__), name)


def check_process() -> None:
    """MediaPipe's threads do not come along into a forked process: it would end there, without a word.

    Raises:
        OptionError: this is one.
    """
    global _home
    _home = _home or os.getpid()
    if _home != os.getpid():
        raise OptionError(
            "this process was forked from one that follows faces already, which MediaPipe does not bear; start "
            "processes by multiprocessing's spawn, or follow faces in the forked ones only"
        )


@contextmanager
def without_unused() -> Iterator[None]:
    """What is imported inside and imports ``UNUSED`` gets it when it first needs it."""
    if "mediapipe" in sys.modules:
        yield
        return
    later = {name: _Later(name) for name in UNUSED if name.partition(".")[0] not in sys.modules}
    for name, module in later.items():
        package, _, own = name.rpartition(".")
        if package:
            later[package].__dict__[own] = module
    sys.modules |= later
    try:
        yield
    finally:
        for name, module in later.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that C++ code writes to standard error inside reaches the user.

    MediaPipe's log lines ignore its own level settings before its logger is set up, so the file descriptor itself is
    pointed elsewhere for the moment that loading takes. The lock keeps two loading threads from restoring each other's.
    """
    with _quiet, warnings.catch_warnings(), without_unused():
        warnings.simplefilter("ignore")
        try:
            sys.stderr.flush()
            kept = os.dup(2)
        except (OSError, ValueError, AttributeError):
            # No standard error at all (a service, a windowed program): nothing to silence.
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


class MeshNetwork:
    """478 points of the face that fills a square picture.

    Attributes:
        solid: ``[478, 3] float32``: what ``points`` last found, with depth: x, y, and z in the same pixels, smaller is
            nearer; None before the first face.
    """

    def __init__(self) -> None:
        self.solid: Float | None = None
        check_process()
        with quiet():
            import mediapipe
            from mediapipe.framework import calculator_pb2
            from mediapipe.framework.formats import rect_pb2
            from mediapipe.python import CalculatorGraph, ImageFormat, packet_creator, packet_getter, resource_util

            config = calculator_pb2.CalculatorGraphConfig(
                input_stream=["image", "roi"], input_side_packet=["with_attention"], output_stream=["landmarks"]
            )
            node = config.node.add(calculator="FaceLandmarkCpu")
            node.input_stream.extend(["IMAGE:image", "ROI:roi"])
            node.input_side_packet.append("WITH_ATTENTION:with_attention")
            node.output_stream.append("LANDMARKS:landmarks")
            # `solution_base.SolutionBase` would do the same, but takes a quarter of the time for itself in each run.
            resource_util.set_resource_dir(str(Path(mediapipe.__file__).parents[1]))
            self._graph: Any = CalculatorGraph(graph_config=config)
            found: list[Any] = []
            # Only the list is known to the graph: a network that nobody closed is freed all the same.
            self._graph.observe_output_stream("landmarks", lambda _, packet: found.append(packet), True)
            self._graph.start_run({"with_attention": packet_creator.create_bool(True)})
            self._found = found
            self._pack, self._unpack, self._format = packet_creator, packet_getter.get_proto, ImageFormat.SRGB
            self._whole = rect_pb2.NormalizedRect(x_center=0.5, y_center=0.5, width=1.0, height=1.0, rotation=0.0)
            self._time_us = 0
            # The first run still warns: let it do so here.
            self.points(np.zeros((MESH_PX, MESH_PX, 3), np.uint8))

    def points(self, image: Bytes) -> Float | None:
        """Points of the face in ``image``.

        Args:
            image: ``[192, 192, 3] uint8`` RGB, the face upright and filling about two thirds.

        Returns:
            ``[478, 2] float32`` in pixels of ``image`` (0, 0 is the picture's corner, not a pixel's middle), or None
            when the network sees no face there.
        """
        if image.shape != (MESH_PX, MESH_PX, 3):
            raise ValueError(f"image must be [{MESH_PX}, {MESH_PX}, 3], got {image.shape}")
        self._found.clear()
        self._time_us += FRAME_US
        picture = self._pack.create_image_frame(image_format=self._format, data=np.ascontiguousarray(image))
        for stream, packet in (("image", picture), ("roi", self._pack.create_proto(self._whole))):
            self._graph.add_packet_to_input_stream(stream=stream, packet=packet.at(self._time_us))
        self._graph.wait_until_idle()
        found = [packet for packet in self._found if not packet.is_empty()]
        if not found:
            return None
        points = self._unpack(found[-1]).landmark
        self.solid = np.array([(point.x, point.y, point.z) for point in points], np.float32) * MESH_PX
        return self.solid[:, :2].copy()

    def close(self) -> None:
        """Free the network; it cannot be used afterwards."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None


class DetectorNetwork:
    """Boxes and eyes of all faces in a picture.

    Args:
        near: for faces that fill a good part of the picture; otherwise for faces up to some metres away.
        confidence: 0..1, what the network must be sure of.

    Attributes:
        sure: ``[F] float32``, 0..1: how sure it was of each face that ``faces`` last found.
    """

    def __init__(self, near: bool, confidence: float = 0.5) -> None:
        self.sure = np.zeros(0, np.float32)
        check_process()
        with quiet():
            from mediapipe.python.solutions.face_detection import FaceDetection

            self._graph: Any = FaceDetection(model_selection=0 if near else 1, min_detection_confidence=confidence)
            self._graph.process(np.zeros((128, 128, 3), np.uint8))

    def faces(self, image: Bytes) -> Float:
        """Faces of ``image`` ``[H, W, 3] uint8`` RGB.

        Returns:
            ``[F, 8] float32`` in pixels: box x, y, width, height, right eye x, y, left eye x, y.
        """
        height, width = image.shape[:2]
        rows, sure = [], []
        for face in self._graph.process(image).detections or ():
            sure.append(face.score[0])
            box = face.location_data.relative_bounding_box
            right, left = face.location_data.relative_keypoints[:2]
            rows.append((box.xmin, box.ymin, box.width, box.height, right.x, right.y, left.x, left.y))
        self.sure = np.array(sure, np.float32)
        return np.array(rows, np.float32).reshape(-1, 8) * np.tile(np.array([width, height], np.float32), 4)

    def close(self) -> None:
        """Free the network; it cannot be used afterwards."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None
