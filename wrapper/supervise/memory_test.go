// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A dynamic loader writes addresses into pages of a file and then makes them read-only. Without them the C library, or
// a position-independent program, jumps to nowhere.
func TestTrimKeepsWhatWasWrittenBeforeItBecameReadOnly(t *testing.T) {
	page := os.Getpagesize()
	name := filepath.Join(t.TempDir(), "library")
	if err := os.WriteFile(name, make([]byte, page), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	mapped, err := unix.Mmap(int(f.Fd()), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE) //nolint:gosec // fds are small
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(mapped) }()
	mapped[0] = 7
	if err := unix.Mprotect(mapped, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	Trim()
	if mapped[0] != 7 {
		t.Fatalf("the page reads %d, 7 was written to it", mapped[0])
	}
}
