# SPDX-License-Identifier: Apache-2.0
"""Images, debug information, memory views, link, symbols: without QEMU."""
