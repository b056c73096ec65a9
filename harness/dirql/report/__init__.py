# SPDX-License-Identifier: Apache-2.0
"""Pictures and tables from the results of a trace."""
