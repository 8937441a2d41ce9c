// SPDX-License-Identifier: Apache-2.0

package pid1

import "testing"

func TestInitSystemsInsistOnBeingTheFirstProcess(t *testing.T) {
	for name, c := range map[string]struct {
		argv []string
		want bool
	}{
		"systemd":                           {[]string{"/lib/systemd/systemd", "--system"}, true},
		"whatever is the distribution's":    {[]string{"/sbin/init"}, true},
		"s6-overlay":                        {[]string{"/init"}, true},
		"s6-overlay with a command":         {[]string{"/init", "vllm", "serve", "m"}, true},
		"s6-overlay's script, by a shell":   {[]string{"/bin/sh", "-e", "/init"}, true},
		"busybox's":                         {[]string{"busybox", "init"}, true},
		"runit":                             {[]string{"/sbin/runit-init"}, true},
		"OpenRC":                            {[]string{"openrc-init"}, true},
		"a shell that becomes it":           {[]string{"bash", "-c", "mkdir -p /run/lock; exec /sbin/init --log-target=journal"}, true},
		"a shell that sets something first": {[]string{"bash", "-euo", "pipefail", "-c", "export A=b\nexec env C=d /lib/systemd/systemd"}, true},
		"a shell that does nothing else":    {[]string{"sh", "-c", "/init"}, true},
		"a shell that may become it":        {[]string{"sh", "-c", `if [ -x /init ]; then exec /init; fi; exec python serve.py`}, true},
		"a shell that becomes its argument": {[]string{"sh", "-c", `export A=b; exec "$@"`, "sh", "/init"}, true},
		"a program in its place":            {[]string{"/usr/bin/env", "-i", "A=b", "/sbin/init"}, true},
		"a line that goes on":               {[]string{"sh", "-c", "exec \\\n  s6-overlay-suexec x"}, true},

		"nothing":                               {nil, false},
		"a server":                              {[]string{"vllm", "serve", "m"}, false},
		"tini":                                  {[]string{"/usr/bin/tini", "--", "vllm", "serve", "m"}, false},
		"dumb-init":                             {[]string{"dumb-init", "--", "bash", "-c", "ddtrace-run python vllm_batch.py"}, false},
		"catatonit":                             {[]string{"catatonit", "--", "vllm"}, false},
		"s6 that only supervises":               {[]string{"s6-svscan", "/service"}, false},
		"runit that only supervises":            {[]string{"runsvdir", "/etc/service"}, false},
		"baseimage's":                           {[]string{"/sbin/my_init", "--", "vllm"}, false},
		"a script called init elsewhere":        {[]string{"/app/init"}, false},
		"a program in the place of a server":    {[]string{"nohup", "vllm", "serve", "/init"}, false},
		"a program in nobody's place":           {[]string{"env"}, false},
		"git init":                              {[]string{"git", "init"}, false},
		"a shell that runs it and goes on":      {[]string{"sh", "-c", "busybox init; python serve.py"}, false},
		"a shell that only names it":            {[]string{"sh", "-c", "echo /sbin/init; python serve.py --name systemd"}, false},
		"a shell that execs something else":     {[]string{"bash", "-c", "ray init; exec python -m vllm_server"}, false},
		"a shell that becomes another argument": {[]string{"sh", "-c", `exec "$@"`, "sh", "vllm", "serve", "/init"}, false},
		"a shell's option without more":         {[]string{"sh", "-c"}, false},
		"a shell with an option to set":         {[]string{"bash", "-o", "pipefail", "-c", "python serve.py"}, false},
		"a shell with nothing to do":            {[]string{"bash"}, false},
	} {
		if got := Insists(c.argv); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
