# SPDX-License-Identifier: Apache-2.0
"""What the numbers in the README come from, each measured beside its comparator in the same run: `python -m bench`."""
