# SPDX-License-Identifier: Apache-2.0
"""Interrupts from outside, by several routes."""
