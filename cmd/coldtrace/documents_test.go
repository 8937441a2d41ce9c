// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// code is a code span, a line of a block, or an indented line of the chart's notes.
	code = regexp.MustCompile("(?s)```.*?\n(.*?)```|`([^`\n]+)`|(?m:^     (\\S[^\n]*)$)")
	// typed is a command line of ours: the command, and what follows up to a pipe or a remark.
	typed  = regexp.MustCompile(`(?m)(?:^|[|$] |kubectl |\./cmd/)coldtrace ([a-z]+)( [^|#;&>\n]*)?`)
	option = regexp.MustCompile(`(?:^| )(--?)([a-zA-Z][a-z-]*)`)
)

// TestTheDocumentsNameCommandsAndFlagsThatExist: whatever stands as code in a document, and begins as our command does.
func TestTheDocumentsNameCommandsAndFlagsThatExist(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../.github/*/*", "../../charts/*/README.md", "../../charts/*/templates/NOTES.txt", "../../cmd/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	lines, flags := 0, 0
	for _, file := range files {
		if strings.HasSuffix(file, "CHANGELOG.md") {
			continue // tells what was
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var lineByLine strings.Builder
		for _, m := range code.FindAllStringSubmatch(string(text), -1) {
			lineByLine.WriteString(m[1] + m[2] + m[3] + "\n")
		}
		for _, m := range typed.FindAllStringSubmatch(lineByLine.String(), -1) {
			cmd, _, err := newRootCommand().Find([]string{m[1]})
			if err != nil {
				t.Errorf("%s: there is no command %q", file, m[0])
				continue
			}
			lines++
			for _, o := range option.FindAllStringSubmatch(m[2], -1) {
				flags++
				if o[1] == "--" && cmd.Flags().Lookup(o[2]) == nil || o[1] == "-" && cmd.Flags().ShorthandLookup(o[2][:1]) == nil {
					t.Errorf("%s: %s has no flag %s%s", file, m[1], o[1], o[2])
				}
			}
		}
	}
	if lines < 30 || flags < 30 {
		t.Errorf("only %d command lines with %d flags", lines, flags)
	}
}
