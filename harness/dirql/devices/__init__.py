# SPDX-License-Identifier: Apache-2.0
"""PCI devices whose other half is Python: a doorbell with real MSI-X, and devices served register by register."""
