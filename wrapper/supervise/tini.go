// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"os"
	"path"
	"slices"
	"strings"
)

// reaping gives tini the option with which it reaps orphans although it is not the first process; without it tini writes
// three lines to standard error about that. Its file tells whether it knows the option: it names the variable that means
// the same, which the workload would inherit.
func (s *supervisor) reaping(argv []string, file string) []string {
	name := path.Base(argv[0])
	if !s.first || name != "tini" && !strings.HasPrefix(name, "tini-") && name != "docker-init" {
		return argv
	}
	if program, err := os.ReadFile(file); err != nil || !bytes.Contains(program, []byte("TINI_SUBREAPER")) {
		return argv
	}
	return slices.Insert(slices.Clone(argv), 1, "-s")
}
