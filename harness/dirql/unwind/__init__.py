# SPDX-License-Identifier: Apache-2.0
"""From a routine to its caller by an image's own tables: for the harness, and inside gdb."""
