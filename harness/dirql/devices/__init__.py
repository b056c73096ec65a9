# SPDX-License-Identifier: Apache-2.0
"""Devices whose other half is Python: a doorbell with real MSI-X, a floppy, and devices served register by register."""
