# SPDX-License-Identifier: Apache-2.0
"""What runs inside gdb, in gdb's own Python: `commands.py` is its script. The harness does not import this."""
