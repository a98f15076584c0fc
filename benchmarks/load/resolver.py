"""Lets the processes of an installation ask a DNS server of the benchmark's, if it has one.

They import this as they import blocks. There is no setting for it: whoever runs Evergraph has the
files of the system for that.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from runtime.egress import names

PORT = "BENCHMARK_DNS_PORT"
"""Of the server, on a loopback address: what is asked where the file names none."""

if PORT in os.environ:
    names.Names = partial(  # type: ignore[assignment, misc]
        names.Names, resolv_conf=Path(os.devnull), port=int(os.environ[PORT])
    )
