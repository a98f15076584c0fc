from __future__ import annotations

from tests.support.attacked import attacked
from tests.support.installation import installation, user

__all__ = ["attacked", "installation", "user"]
