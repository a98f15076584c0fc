from __future__ import annotations

from tests.support.installation import installation, user

__all__ = ["installation", "user"]
