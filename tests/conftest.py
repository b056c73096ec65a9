# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

from __future__ import annotations

pytest_plugins = ["pytester"]
