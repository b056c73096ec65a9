# SPDX-License-Identifier: Apache-2.0
"""Collects the guest's trace rings, decodes them, and judges, counts and exports what the CPUs did. Knows no QEMU."""
