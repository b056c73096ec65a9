/* SPDX-License-Identifier: Apache-2.0 */
/* Where the verifier, a floor further up, hangs its hooks. */
#include "verify.h"

const KI_VERIFIER *volatile KiVerifier;
