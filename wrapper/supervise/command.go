// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Exit codes of a command that cannot be started, as of shells and tini.
const (
	exitUsage     = 64 // EX_USAGE
	exitCannotRun = 126
	exitNotFound  = 127
)

// defaultPath is glibc's search path where PATH is not set.
const defaultPath = "/bin:/usr/bin"

// candidates are the files that execvp(3) would try for a command, in order.
func candidates(name string, env []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	path := defaultPath
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
			break
		}
	}
	var out []string
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		out = append(out, dir+"/"+name)
	}
	return out
}

// execvp calls start with each file that may be meant until one starts, with argv[0] as the caller wrote it. A file
// that the kernel cannot execute is a shell script without a first line.
func execvp(argv, env []string, start func(file string, argv []string) error) error {
	if argv[0] == "" {
		return syscall.ENOENT
	}
	var denied error
	files := candidates(argv[0], env)
	for _, file := range files {
		if len(files) > 1 && unix.Access(file, unix.F_OK) != nil {
			continue // saves a fork
		}
		err := start(file, argv)
		if errors.Is(err, syscall.ENOEXEC) {
			err = start("/bin/sh", append([]string{"/bin/sh", file}, argv[1:]...))
		}
		switch {
		case errors.Is(err, syscall.EACCES):
			denied = err
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ESTALE),
			errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ETIMEDOUT):
		default:
			return err
		}
	}
	if denied != nil {
		return denied
	}
	return syscall.ENOENT
}

// takeWords copies words out of the program's command line and blanks them there: `pgrep -f` and `pkill -f` for the
// command would find us beside it, and a signal sent to both would reach it twice.
func takeWords(args []string) []string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = strings.Clone(a)
		clear(unsafe.Slice(unsafe.StringData(a), len(a))) //nolint:gosec // what the kernel wrote for this process, see ps
	}
	return words
}

// exitOf is the exit code for a command that could not be started.
func exitOf(err error) int {
	if errors.Is(err, syscall.ENOENT) {
		return exitNotFound
	}
	return exitCannotRun
}
