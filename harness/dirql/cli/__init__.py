# SPDX-License-Identifier: Apache-2.0
"""The command line. No logic: options in, calls, words out."""
