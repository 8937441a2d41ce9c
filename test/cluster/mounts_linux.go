// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// mount is the part of a line of /proc/self/mountinfo that we use.
type mount struct {
	point  string
	fstype string
}

func readMounts() ([]mount, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	return parseMounts(string(b))
}

// parseMounts reads proc(5)'s mountinfo: the fifth field is the mount point; after a lone dash, which ends
// a list of optional fields, comes the type.
func parseMounts(info string) ([]mount, error) {
	var mounts []mount
	for line := range strings.Lines(info) {
		before, after, ok := strings.Cut(line, " - ")
		fields, types := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(types) < 1 {
			return nil, fmt.Errorf("parse mounts: line %q", line)
		}
		mounts = append(mounts, mount{point: unescapeMount(fields[4]), fstype: types[0]})
	}
	return mounts, nil
}

// unescapeMount undoes the kernel's \040 for blanks and its like.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
