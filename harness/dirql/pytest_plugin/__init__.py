# SPDX-License-Identifier: Apache-2.0
"""Machines as pytest fixtures. `plugin.py` is what pytest loads; it imports the rest when a test asks for a machine."""
