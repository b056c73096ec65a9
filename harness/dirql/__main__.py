# SPDX-License-Identifier: Apache-2.0
"""`python -m dirql`."""

from dirql.cli.main import main

main()
