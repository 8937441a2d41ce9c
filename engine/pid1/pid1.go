// SPDX-License-Identifier: Apache-2.0

// Package pid1 knows the programs that work only as the first process of a PID namespace, as a container's is: init
// systems. Behind the wrapper they would not be. It is pure, and small, because the wrapper asks it before each start.
package pid1

import (
	"path"
	"slices"
	"strings"
)

// names are those of init systems that refuse, or do something else, as any other process: systemd wants --user,
// sysvinit's init talks to the one that is running, s6-overlay and runit say so and exit. (s6-svscan, runsvdir, supervisord,
// my_init, tini, dumb-init and catatonit work.)
var names = []string{
	"systemd", "s6-overlay-suexec", "s6-linux-init", "openrc-init", "runit", "runit-init", "finit", "dinit", "sinit",
	"procd", "upstart", "system-manager", "linuxrc",
}

// paths are where a program called init is the system's, and not just something that initialises.
var paths = []string{"init", "/init", "/bin/init", "/sbin/init", "/usr/bin/init", "/usr/sbin/init", "/usr/lib/systemd/systemd"}

// inPlace run a command in their own place.
var inPlace = []string{"exec", "env", "command", "nohup", "nice"}

var shells = []string{"sh", "bash", "dash", "ash", "ksh", "zsh"}

// Insists tells whether a command is such a program, or a shell that becomes one.
func Insists(argv []string) bool {
	if len(argv) == 0 {
		return false
	}
	name := path.Base(argv[0])
	switch {
	case slices.Contains(names, name), slices.Contains(paths, path.Clean(argv[0])):
		return true
	case name == "busybox", name == "toybox":
		return len(argv) > 1 && argv[1] == "init"
	case slices.Contains(inPlace, name): // env A=b /sbin/init
		own := slices.IndexFunc(argv[1:], func(w string) bool { return !strings.HasPrefix(w, "-") && !strings.Contains(w, "=") })
		return own >= 0 && Insists(argv[1+own:])
	case !slices.Contains(shells, name):
		return false
	}
	for at := 1; at < len(argv); at++ {
		option, long := argv[at], strings.HasPrefix(argv[at], "--")
		switch {
		case !strings.HasPrefix(option, "-"): // a script
			return Insists(argv[at:])
		case !long && strings.Contains(option, "c") && at+1 < len(argv):
			return Script(argv[at+1], argv[min(at+3, len(argv)):])
		case !long && strings.HasSuffix(option, "o"): // -euo pipefail
			at++
		}
	}
	return false
}

// Script tells whether a shell's text becomes such a program: by exec, or as the last thing that it does, for which a
// shell needs no process of its own. args are the text's "$@".
func Script(text string, args []string) bool {
	if !strings.Contains(text, "init") && !strings.Contains(text, "$@") && !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(text, n) }) {
		return false // nearly always, and far faster than to take it apart
	}
	commands := strings.FieldsFunc(strings.ReplaceAll(text, "\\\n", " "), func(r rune) bool { return strings.ContainsRune(";&|\n(){}", r) })
	for i, command := range commands {
		if i < len(commands)-1 && !strings.Contains(command, "exec") {
			continue
		}
		words := strings.Fields(command)
		for n, word := range words {
			words[n] = strings.Trim(word, `"'`)
		}
		if len(words) > 0 && (words[0] == "then" || words[0] == "else") {
			words = words[1:]
		}
		if len(words) == 0 || words[0] != "exec" && i < len(commands)-1 {
			continue
		}
		if at := slices.Index(words, "$@"); at >= 0 {
			words = append(words[:at], args...)
		}
		if Insists(words) {
			return true
		}
	}
	return false
}
