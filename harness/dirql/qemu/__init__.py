# SPDX-License-Identifier: Apache-2.0
"""One QEMU process and the channels to it. Knows the PC that it emulates, not the guest that runs there."""
