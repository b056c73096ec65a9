# SPDX-License-Identifier: Apache-2.0
"""`dirql report`: one self-contained HTML file that says how a run went, and shows it."""
