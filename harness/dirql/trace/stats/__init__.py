# SPDX-License-Identifier: Apache-2.0
"""Numbers of a trace, or of a part of it, and of two traces side by side."""
