// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"strings"

	"github.com/coldtrace/coldtrace/engine/server"
)

// runner is a program that runs the command given to it: how to find where that begins.
type runner struct {
	valued     string // single-letter options that take a value, as in getopt
	long       string // options of more than a letter that take their value as the next word, space separated
	positional int    // words before the command that are not options
	sub        string // a subcommand that must come first
	vars       bool   // NAME=value words may precede the command
	elsewhere  bool   // it finds the command where the container may not: a shell that it runs is no proof of one
}

// runners are the programs seen in front of servers. What is not here ends the search.
var runners = map[string]runner{
	"dumb-init":                {valued: "r", long: "--rewrite"},
	"tini":                     {valued: "pe"},
	"tini-static":              {valued: "pe"},
	"catatonit":                {},
	"env":                      {valued: "uC", long: "--unset --chdir", vars: true},
	"ddtrace-run":              {},
	"opentelemetry-instrument": {},
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
	"s6-setuidgid":             {positional: 1},
	"sudo":                     {valued: "ugpCchrtTUDR", long: "--user --group --host --prompt --chdir --role --type", vars: true, elsewhere: true},
	"setpriv":                  {long: "--reuid --regid --groups --inh-caps --bounding-set --ambient-caps --securebits"},
	"prlimit":                  {},
	"unbuffer":                 {},
	"busybox":                  {elsewhere: true},
	"mpirun":                   {valued: "nxHc", long: "-np --np -N --host --hostfile --map-by --bind-to --mca -mca"},
	"trtllm-llmapi-launch":     {},
	"su-exec":                  {positional: 1},
	"catchsegv":                {},
	"nvidia_entrypoint.sh":     {},
	"uv":                       {sub: "run", valued: "pP", long: "--with --python --extra --group --only-group --project --directory --env-file --package --index", elsewhere: true},
	"poetry":                   {sub: "run", elsewhere: true},
	"pipenv":                   {sub: "run", elsewhere: true},
	"pixi":                     {sub: "run", valued: "e", long: "--environment --manifest-path", elsewhere: true},
	"doppler":                  {sub: "run", valued: "pc", long: "--project --config --token"},
	"infisical":                {sub: "run", long: "--env --path --projectId --token"},
	"conda":                    {sub: "run", valued: "np", long: "--name --prefix", elsewhere: true},
	"micromamba":               {sub: "run", valued: "np", long: "--name --prefix", elsewhere: true},
}

// skipLaunchers is the index of the first word that is not a runner or its options. Not ok: a word that decides is not
// known here.
func skipLaunchers(words []Word) (at int, ok bool) {
	for at < len(words) {
		if !words[at].Known {
			return at, false
		}
		r, found := runners[base(words[at].Text)]
		if !found {
			return at, true
		}
		next, ok := r.skip(words, at+1)
		if !ok {
			return at, false
		}
		if next >= len(words) { // a runner without a command, such as a bare "env"
			return at, true
		}
		at = next
	}
	return at, true
}

// elsewhere tells if one of the runners finds its command where the container may not.
func elsewhere(words []string) bool {
	for _, w := range words {
		if r := runners[base(w)]; r.elsewhere || r.vars && strings.Contains(strings.Join(words, " "), "=") {
			return true
		}
	}
	return false
}

// skip goes over a runner's own words.
func (r runner) skip(words []Word, at int) (int, bool) {
	if r.sub != "" {
		if at >= len(words) || words[at].Text != r.sub {
			return at, false
		}
		at++
	}
	positional := r.positional
	for ; at < len(words); at++ {
		w := words[at]
		switch {
		case !w.Known:
			return at, false
		case w.Text == "--":
			at++
			for r.vars && at < len(words) && words[at].Known && strings.IndexByte(words[at].Text, '=') > 0 {
				at++
			}
			return at + positional, true
		case len(w.Text) > 1 && w.Text[0] == '-':
			if strings.HasPrefix(w.Text, "-S") && r.vars { // env -S splits a string
				return at, false
			}
			if r.takesNext(w.Text) {
				at++
			}
		case r.vars && strings.IndexByte(w.Text, '=') > 0:
		case positional > 0:
			positional--
		default:
			return at, true
		}
	}
	return at, true
}

// takesNext tells if an option's value is the next word.
func (r runner) takesNext(option string) bool {
	for name := range strings.FieldsSeq(r.long) {
		if option == name {
			return true
		}
	}
	if strings.HasPrefix(option, "--") {
		return false
	}
	// In a cluster of letters the first that takes a value takes the rest of the cluster, or the next word.
	for i := 1; i < len(option); i++ {
		if strings.IndexByte(r.valued, option[i]) >= 0 {
			return i == len(option)-1
		}
	}
	return false
}

// hidden tells if launchers look for the command where the wrapper would not, or give it another name: it cannot stand in
// front of it. (bash's exec makes a relative path absolute.)
func hidden(launchers []Word, command string) bool {
	for i, l := range launchers {
		program := base(l.Text)
		if server.Elsewhere[program] || program == "exec" && (i+1 < len(launchers) || strings.HasPrefix(command, ".")) {
			return true
		}
	}
	return false
}
