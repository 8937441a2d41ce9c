// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	engines "github.com/coldtrace/coldtrace/engine"
)

// addressesOf are where the engine will answer that a process is, if it is one.
func addressesOf(argv []string, pid int) []engines.Address {
	e, args := engines.Match(argv)
	if e == nil {
		return nil
	}
	proc := "/proc/" + strconv.Itoa(pid)
	all := e.Addresses(args, engines.Surroundings{
		Getenv:   environment(proc + "/environ"),
		ReadFile: func(path string) ([]byte, error) { return readOptions(within(proc, path)) },
	})
	for i := range all {
		if all[i].Socket != "" {
			all[i].Socket = within(proc, all[i].Socket)
		}
	}
	return all
}

// within is a path as the process means it, where it has changed its folder.
func within(proc, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(proc, "cwd", path)
}

// environment is a process's own: its script may have set what the container has not. Where that cannot be read it is the
// container's.
func environment(file string) func(string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return os.Getenv
	}
	return func(name string) string {
		for entry := range strings.SplitSeq(string(text), "\x00") {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// maxOptions bounds a file of options.
const maxOptions = 1 << 20

// readOptions reads a file that the engine reads as well. What can be read only once is left to it.
func readOptions(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("not a file"))
	}
	return io.ReadAll(io.LimitReader(f, maxOptions))
}
