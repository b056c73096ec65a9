# SPDX-License-Identifier: Apache-2.0
"""Experiments: parameters, run, measure, tabulate. Each is a module with a `run` function and frozen results."""
