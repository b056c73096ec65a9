# SPDX-License-Identifier: Apache-2.0
"""What a person uses to look into a machine: gdb on every CPU, the serial console."""
