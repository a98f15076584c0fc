"""The program: settings in, processes out."""

import sys

if "structlog" not in sys.modules and "rich" not in sys.modules:
    # structlog loads rich wherever that is installed, as litestar sees to, and prints nothing with
    # it here: four megabytes in each process.
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401

    del sys.modules["rich"]
