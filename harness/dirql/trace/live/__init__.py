# SPDX-License-Identifier: Apache-2.0
"""Collecting a trace while the guest runs: rings, files, what ends a recording, who reads along."""
