# SPDX-License-Identifier: Apache-2.0
"""What the records of a trace say of CPUs, threads, DPCs and IRPs, found once for whoever asks."""
