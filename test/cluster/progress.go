// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"time"
)

// progress prints one line for each finished step, with the time it took.
type progress struct {
	w     io.Writer
	start time.Time
}

func newProgress(w io.Writer) *progress { return &progress{w: w, start: time.Now()} }

// step runs do and reports it; what is the result, in the words of someone who waits for it.
func (p *progress) step(what string, do func() error) error {
	start := time.Now()
	if err := do(); err != nil {
		fmt.Fprintf(p.w, "  ✗ %s  %s\n", what, seconds(time.Since(start)))
		return err
	}
	p.done(what, time.Since(start))
	return nil
}

func (p *progress) done(what string, took time.Duration) {
	fmt.Fprintf(p.w, "  ✓ %-46s %8s\n", what, seconds(took))
}

// total is the time since the first step began.
func (p *progress) total() string { return seconds(time.Since(p.start)) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
