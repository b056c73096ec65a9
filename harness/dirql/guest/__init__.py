# SPDX-License-Identifier: Apache-2.0
"""What runs on the machine: images and their debug information, typed views of its memory, its link to the host."""
