// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"strings"
)

// launcher is a program that runs the command given to it: how to find where that begins.
type launcher struct {
	valued     string // single-letter options that take a value, as in getopt
	long       string // options of more than a letter that take their value as the next word, space separated
	positional int    // words before the command that are not options
	sub        string // a subcommand that must come first
	vars       bool   // NAME=value words may precede the command
	elsewhere  bool   // see Elsewhere
}

// launchers are the programs seen in front of servers. What is not here ends the search.
var launchers = map[string]launcher{
	"dumb-init":                {valued: "r", long: "--rewrite"},
	"tini":                     {valued: "pe"},
	"tini-static":              {valued: "pe"},
	"catatonit":                {},
	"coldtrace-wrapper":        {sub: "run"},
	"env":                      {valued: "uC", long: "--unset --chdir", vars: true},
	"ddtrace-run":              {},
	"graphsignal-run":          {},
	"opentelemetry-instrument": {long: "--traces_exporter --metrics_exporter --logs_exporter --service_name"},
	"nohup":                    {},
	"setsid":                   {},
	"exec":                     {valued: "a"},
	"command":                  {},
	"time":                     {valued: "fo", long: "--format --output"},
	"nice":                     {valued: "n", long: "--adjustment"},
	"ionice":                   {valued: "cn", long: "--class --classdata"},
	"chrt":                     {positional: 1},
	"taskset":                  {positional: 1},
	"numactl":                  {valued: "iNCpmP", long: "--interleave --cpunodebind --physcpubind --membind --preferred"},
	"stdbuf":                   {valued: "ioe", long: "--input --output --error"},
	"timeout":                  {valued: "ks", long: "--kill-after --signal", positional: 1},
	"gosu":                     {positional: 1},
	"su-exec":                  {positional: 1},
	"s6-setuidgid":             {positional: 1},
	"setpriv":                  {long: "--reuid --regid --groups --inh-caps --bounding-set --ambient-caps --securebits"},
	"prlimit":                  {valued: "p", long: "--pid"},
	"unbuffer":                 {},
	"catchsegv":                {},
	"nvidia_entrypoint.sh":     {},
	"nsys":                     {sub: "profile", valued: "bcdefnopstwxy", long: "--output --trace --sample --delay --duration --capture-range --force-overwrite"},
	"doppler":                  {sub: "run", valued: "pc", long: "--project --config --token"},
	"infisical":                {sub: "run", long: "--env --path --projectId --token"},
	"sudo":                     {valued: "ugpCchrtTUDR", long: "--user --group --host --prompt --chdir --role --type", vars: true, elsewhere: true},
	"busybox":                  {elsewhere: true},
	"mpirun":                   {valued: "nxHc", long: "-np --np -N --host --hostfile --map-by --bind-to --mca -mca", elsewhere: true},
	"trtllm-llmapi-launch":     {elsewhere: true},
	"uv":                       {sub: "run", valued: "pP", long: "--with --python --extra --group --only-group --project --directory --env-file --package --index", elsewhere: true},
	"poetry":                   {sub: "run", elsewhere: true},
	"pipenv":                   {sub: "run", elsewhere: true},
	"pixi":                     {sub: "run", valued: "e", long: "--environment --manifest-path", elsewhere: true},
	"conda":                    {sub: "run", valued: "np", long: "--name --prefix", elsewhere: true},
	"micromamba":               {sub: "run", valued: "np", long: "--name --prefix", elsewhere: true},
}

// Elsewhere tells launchers that look for their command where their own configuration says, run it on other machines, or
// are allowed certain commands only: what they will find cannot be told from in front of them, and nothing may stand
// between them and it.
func Elsewhere(program string) bool { return launchers[Base(program)].elsewhere }

// Assigns tells launchers that take NAME=value words for their command.
func Assigns(program string) bool { return launchers[Base(program)].vars }

// Unknown ends a word of which only the beginning is known. No argument of a process holds one.
const Unknown = "\x00"

func unknown(word string) bool { return strings.HasSuffix(word, Unknown) }

// Behind is the index of the first word that is not a launcher or its own. Not ok: a word that decides is not known.
func Behind(argv []string) (at int, ok bool) {
	for at < len(argv) {
		if unknown(argv[at]) {
			return at, false
		}
		l, found := launchers[Base(argv[at])]
		if !found {
			return at, true
		}
		next, ok := l.skip(argv, at+1)
		if !ok {
			return at, false
		}
		if next >= len(argv) { // a launcher without a command, such as a bare "env"
			return at, true
		}
		at = next
	}
	return at, true
}

// skip goes over a launcher's own words.
func (l *launcher) skip(argv []string, at int) (int, bool) {
	if l.sub != "" {
		if at >= len(argv) || argv[at] != l.sub {
			return at, false
		}
		at++
	}
	positional := l.positional
	for ; at < len(argv); at++ {
		w := argv[at]
		assigns := l.vars && strings.IndexByte(w, '=') > 0
		switch {
		case unknown(w):
			return at, false
		case w == "--":
			at++
			for l.vars && at < len(argv) && !unknown(argv[at]) && strings.IndexByte(argv[at], '=') > 0 {
				at++
			}
			return at + positional, true
		case len(w) > 1 && w[0] == '-':
			if strings.HasPrefix(w, "-S") && l.vars { // env -S splits a string
				return at, false
			}
			if l.takesNext(w) {
				at++
			}
		case assigns:
		case positional > 0:
			positional--
		default:
			return at, true
		}
	}
	return at, true
}

// takesNext tells if an option's value is the next word.
func (l *launcher) takesNext(option string) bool {
	if long := slices.Contains(strings.Fields(l.long), option); long || strings.HasPrefix(option, "--") {
		return long
	}
	// In a cluster of letters the first that takes a value takes the rest of the cluster, or the next word.
	i := strings.IndexAny(option[1:], l.valued)
	return i >= 0 && i == len(option)-2
}

// Base is the last element of a path.
func Base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
