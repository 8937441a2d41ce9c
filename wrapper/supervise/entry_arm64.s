// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// The linker is told to begin here wherever it can be, see entry_amd64.s. Here nothing is noted.
TEXT ·entry(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	B _rt0_arm64_linux(SB)
