// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// The program's entry point, if it was linked with -E: nothing of Go has run yet, and the stack is as the kernel made
// it. It notes which signals are ignored and which are blocked, and goes on to Go's own entry point.
TEXT ·entry(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	XORQ R12, R12 // the signals that are ignored
	MOVQ $1, BX   // the signal
next:
	MOVQ $13, AX // rt_sigaction
	MOVQ BX, DI
	XORQ SI, SI
	LEAQ -128(SP), DX
	MOVQ $8, R10
	SYSCALL
	TESTQ AX, AX
	JNE  skip
	MOVQ -128(SP), AX
	CMPQ AX, $1 // SIG_IGN
	JNE  skip
	MOVQ BX, CX
	DECQ CX
	MOVQ $1, AX
	SHLQ CX, AX
	ORQ  AX, R12
skip:
	INCQ BX
	CMPQ BX, $64
	JLE  next
	MOVQ $14, AX // rt_sigprocmask
	XORQ DI, DI
	XORQ SI, SI
	LEAQ -128(SP), DX
	MOVQ $8, R10
	SYSCALL
	MOVQ -128(SP), AX
	MOVQ AX, ·entryBlocked(SB)
	MOVQ R12, ·entryIgnored(SB)
	MOVQ $1, ·entered(SB)
	JMP  _rt0_amd64_linux(SB)
