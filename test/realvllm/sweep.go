// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// sweep kills all that cells have left: every orphan came to us, who are their subreaper.
func (b *bench) sweep() {
	for range 100 {
		left := descendants(os.Getpid())
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
		}
		for _, pid := range left {
			if _, waitedFor := b.own.Load(pid); !waitedFor {
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // it may be another's child still
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(pollEvery)
	}
}

func descendants(of int) (out []int) {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // gone
		}
		var state string
		var parent int
		if _, err := fmt.Sscan(string(text[bytes.LastIndexByte(text, ')')+1:]), &state, &parent); err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name))) // the pattern has digits
		children[parent] = append(children[parent], pid)
	}
	for todo := children[of]; len(todo) > 0; todo = todo[1:] {
		out = append(out, todo[0])
		todo = append(todo, children[todo[0]]...)
	}
	return out
}
