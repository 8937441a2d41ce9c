// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// Called by the kernel on the thread's signal stack: DI is the signal's number, SI its siginfo. The byte's highest bit
// says that the kernel sent it, and not a process.
TEXT ·rawHandler(SB),NOSPLIT|NOFRAME,$0
	CMPL 8(SI), $0x80 // si_code, SI_KERNEL
	JNE number
	ORL $0x80, DI
number:
	SUBQ $8, SP
	MOVB DI, (SP)
	MOVLQSX ·rawFD(SB), DI
	MOVQ SP, SI
	MOVQ $1, DX
	MOVQ $1, AX // write
	SYSCALL
	ADDQ $8, SP
	RET

TEXT ·rawRestorer(SB),NOSPLIT|NOFRAME,$0
	MOVQ $15, AX // rt_sigreturn
	SYSCALL
	INT $3

TEXT ·rawHandlerPC(SB),NOSPLIT,$0-8
	LEAQ ·rawHandler(SB), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·rawRestorerPC(SB),NOSPLIT,$0-8
	LEAQ ·rawRestorer(SB), AX
	MOVQ AX, ret+0(FP)
	RET
