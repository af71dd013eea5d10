"""Which of MediaPipe's 478 face-mesh points the project uses, in the order of ``FaceTrack``'s fields."""

OUTER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LIP_POINTS = OUTER_LIP + INNER_LIP

ANCHOR_POINTS = (33, 133, 362, 263, 1, 152, 234, 454)
"""Right eye's corners, left eye's corners, nose tip, chin, right and left face edge."""

JAW_POINTS = (
    234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454,
)  # fmt: skip

NOSE, CHIN, EDGE_RIGHT, EDGE_LEFT = 4, 5, 6, 7
"""Places in ``ANCHOR_POINTS``."""

GAP_LOWER, GAP_UPPER = 25, 35
"""Places in ``LIP_POINTS`` whose distance is the inner-lip gap."""
