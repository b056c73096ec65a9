# SPDX-License-Identifier: Apache-2.0
"""Proof that the cases can fail: each rule of the executive is broken on purpose, and a case must notice."""
