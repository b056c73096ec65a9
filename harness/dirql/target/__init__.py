# SPDX-License-Identifier: Apache-2.0
"""Cases that run on the guest: found in a driver's `.target` section, run over a table of machines, judged."""
