// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// Called by the kernel on the thread's signal stack: R0 is the signal's number.
TEXT ·rawHandler(SB),NOSPLIT|NOFRAME,$0
	SUB $16, RSP
	MOVB R0, 8(RSP)
	MOVW ·rawFD(SB), R0
	ADD $8, RSP, R1
	MOVD $1, R2
	MOVD $64, R8 // write
	SVC
	ADD $16, RSP
	RET

TEXT ·rawRestorer(SB),NOSPLIT|NOFRAME,$0
	MOVD $139, R8 // rt_sigreturn
	SVC
	BRK $1

TEXT ·rawHandlerPC(SB),NOSPLIT,$0-8
	MOVD $·rawHandler(SB), R0
	MOVD R0, ret+0(FP)
	RET

TEXT ·rawRestorerPC(SB),NOSPLIT,$0-8
	MOVD $·rawRestorer(SB), R0
	MOVD R0, ret+0(FP)
	RET
