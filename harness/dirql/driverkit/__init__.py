# SPDX-License-Identifier: Apache-2.0
"""Making drivers: a new one from the template, the compiler and its flags, what the DDK's headers declare."""
