// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress prints one line for each finished step, with the time it took, as test/cluster does.
type Progress struct {
	mu sync.Mutex
	w  io.Writer
}

// NewProgress prints to w.
func NewProgress(w io.Writer) *Progress { return &Progress{w: w} }

// Step runs do and prints what it was for and how long it took.
func (p *Progress) Step(what string, do func() error) error {
	start := time.Now()
	err := do()
	sign := "✓"
	if err != nil {
		sign = "✗"
	}
	p.line(sign, what, time.Since(start))
	return err
}

// Heading begins a group of steps.
func (p *Progress) Heading(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "\n%s\n", text)
}

func (p *Progress) line(sign, what string, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "  %s %-46s %6.1f s\n", sign, what, took.Seconds())
}
