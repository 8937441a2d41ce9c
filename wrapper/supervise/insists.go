// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/coldtrace/coldtrace/engine/pid1"
)

// insists tells whether a command, or the script or link that it turns out to be in this image, works only as the first
// process.
func insists(argv, env []string) bool {
	for _, file := range candidates(argv[0], env) {
		if unix.Access(file, unix.X_OK) != nil {
			continue
		}
		f, err := os.Open(file)
		if err != nil {
			break
		}
		defer f.Close()
		if text, ok := shellScript(f); ok { // s6-overlay's /init is one; somebody's own may do anything
			return pid1.Script(text, argv[1:])
		}
		if target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd()))); err == nil && pid1.Insists(append([]string{target}, argv[1:]...)) { //nolint:gosec // fds are small
			return true
		}
		break
	}
	return pid1.Insists(argv)
}

// shellScript is the beginning of a script for a shell.
func shellScript(f io.Reader) (text string, ok bool) {
	var mark [2]byte
	if _, err := io.ReadFull(f, mark[:]); err != nil || string(mark[:]) != "#!" {
		return "", false
	}
	b := make([]byte, 32<<10)
	n, _ := io.ReadFull(f, b) // a short one is all there is
	interpreter, rest, _ := bytes.Cut(b[:n], []byte("\n"))
	return string(rest), bytes.Contains(interpreter, []byte("sh"))
}
