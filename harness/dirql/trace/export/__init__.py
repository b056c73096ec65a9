# SPDX-License-Identifier: Apache-2.0
"""A trace in the formats that other programs read."""
