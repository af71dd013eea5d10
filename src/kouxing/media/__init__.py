"""Files <-> timed arrays; the only place that uses PyAV.

PyAV's own log hook stays off (its default): its callback takes the GIL inside decoder threads and can deadlock.
"""
