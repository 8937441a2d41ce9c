// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scripts is a few hundred commands of the kinds that containers run.
func scripts() map[string]string {
	out := map[string]string{
		"nothing":                            "",
		"both streams":                       "echo out; echo err >&2",
		"no newline at the end":              "printf abc; printf def >&2",
		"any bytes":                          `printf '\000\001\377\r\n\r\033[31m'`,
		"empty lines":                        `printf '\n\n\r\n\n'`,
		"a long line":                        "head -c 300000 /dev/zero | tr '\\0' x",
		"a long line in pieces":              "for i in 1 2 3 4 5; do head -c 50000 /dev/zero | tr '\\0' $i; sleep 0.01; done",
		"a burst":                            "seq 1 100000",
		"a burst on both":                    "seq 1 30000; seq 1 30000 >&2",
		"binary":                             "seq 1 300000 | gzip -n1 > f; cat f; rm f",
		"a flood that is cut":                "yes | head -c 20000000",
		"many small writes":                  "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done",
		"set -e stops":                       "set -e; echo a; false; echo b",
		"set -e in a pipe":                   "set -euo pipefail; false | true; echo unreachable",
		"an unset variable":                  "set -u; echo $nope",
		"a subshell":                         "(exit 3)",
		"a trap at exit":                     "trap 'echo bye' EXIT; echo hi; exit 4",
		"a trap and a signal":                "trap 'echo caught; exit 9' TERM; kill -TERM $$; sleep 1",
		"a trap on every signal":             "for s in HUP INT QUIT USR1 USR2 TERM; do trap \"echo $s\" $s; kill -$s $$; done",
		"kill 0 with a trap":                 "trap 'echo once' TERM; kill -TERM 0; sleep 0.1; echo on",
		"kill 0":                             "kill -TERM 0; sleep 5",
		"a background job is waited for":     "(sleep 0.05; echo late) & echo early; wait",
		"several jobs":                       "for i in 1 2 3; do (sleep 0.0$i; exit $i) & done; wait; echo $?",
		"a job's status":                     "sleep 0.02 & wait $!; echo $?",
		"exec in place":                      "exec sh -c 'echo replaced; exit 6'",
		"exec of nothing":                    "exec /no/such",
		"a command that is not there":        "no-such-command; echo $?",
		"standard input":                     "cat",
		"standard input is read in part":     "head -n 1",
		"standard input closed":              "exec 0<&-; echo ok",
		"standard output closed":             "exec 1>&-; echo x 2>/dev/null; exit 0",
		"standard error closed":              "exec 2>&-; echo x",
		"error into output":                  "exec 2>&1; echo a; echo b >&2; echo c",
		"output into error":                  "exec 1>&2; echo a",
		"open through /dev/stdout":           "echo a > /dev/stdout; echo b > /dev/stderr",
		"files":                              "umask 027; echo x > f; mkfifo p; rm p; ls -la f | cut -c1-10",
		"umask":                              "umask; touch f",
		"working directory":                  "basename $(dirname $PWD) | tr -d 0-9",
		"limits":                             "ulimit -n; ulimit -Hn; ulimit -s; ulimit -c; ulimit -u",
		"file descriptors":                   "ls /proc/self/fd",
		"a descriptor of one's own":          "exec 7>f; echo x >&7; exec 7>&-; cat f",
		"arguments":                          `printf '<%s>' "$0" "$@"`,
		"the mask of signals":                "grep -E 'SigBlk|SigIgn|SigCgt' /proc/self/status",
		"no new privileges, same everything": "grep -E 'NoNewPrivs|Seccomp:|Cap|Uid|Gid|Groups' /proc/self/status",
		"niceness":                           "nice",
		"one leads one's group":              "test $(ps -o pgid= -p $$) -eq $$ && echo leader",
		"no terminal":                        "test -t 0 -o -t 1 -o -t 2 || echo none",
		"a here document":                    "cat <<E\nline\nE",
		"a pipe that breaks":                 "yes | head -n 1; echo ${PIPESTATUS:-}",
		"SIGPIPE":                            "(trap - PIPE; yes; echo $? >&2) | true",
		"recursion":                          `f() { [ $1 -eq 0 ] || { echo $1; f $(($1-1)); }; }; f 30`,
		"many processes":                     "for i in $(seq 1 60); do true & done; wait; echo done",
		"a process tree":                     "sh -c 'sh -c \"echo deep; exit 3\"; echo $?'; echo $?",
		"an orphan that is quick":            "(sh -c 'sleep 0.05; echo orphan > f' &) ; sleep 0.3; cat f",
		"a daemon":                           "setsid sh -c 'echo d > f' </dev/null >/dev/null 2>&1; sleep 0.1; cat f",
		"stop and continue":                  "(sleep 0.05; kill -CONT $$) & kill -STOP $$; echo back",
		"a stop that nobody could continue":  "for s in TSTP TTIN TTOU; do kill -$s $$; done; echo on",
		"a child's stop, likewise":           "sh -c 'kill -TSTP $$; echo on'; echo $?",
		"one leads one's session":            "test $(ps -o sid= -p $$) -eq $$ && echo leader",
		"a stop signal that is trapped":      "trap 'echo stop' TSTP; kill -TSTP $$; echo on",
		"its own process id":                 "[ -d /proc/$$ ] && echo there",
		"a time out":                         "timeout 0.05 sleep 5; echo $?",
		"an error from the kernel":           "cat /; echo $?",
		"a locked file":                      "flock f -c 'echo locked'",
		"stdout to a full disk":              "echo x > /dev/full; echo $?",
		"arithmetic on time":                 "sleep 0.03; echo ok",
		"a long run":                         "for i in 1 2 3 4; do echo $i; sleep 0.04; done",
		"interleaved":                        "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done",
	}
	for i := range 64 {
		out[fmt.Sprintf("exit %d after a line", i*4+1)] = fmt.Sprintf("echo %d; exit %d", i, i*4+1)
	}
	for _, size := range []int{1, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20, 1<<20 + 1, 3 << 20} {
		out[fmt.Sprintf("%d bytes at once", size)] = fmt.Sprintf("head -c %d /dev/zero", size)
		out[fmt.Sprintf("%d bytes on stderr", size)] = fmt.Sprintf("head -c %d /dev/zero >&2", size)
		out[fmt.Sprintf("%d bytes and a failure", size)] = fmt.Sprintf("head -c %d /dev/urandom | sha256sum >/dev/null; head -c %d /dev/zero | tr '\\0' y; exit 3", size, size)
	}
	for _, sig := range []string{"HUP", "INT", "QUIT", "ILL", "ABRT", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "SYS", "XCPU"} {
		out["killed by "+sig] = "echo before; kill -" + sig + " $$; sleep 5"
		out["a child killed by "+sig] = "sh -c 'kill -" + sig + " $$; sleep 5' 2>/dev/null; echo $?"
		out["a trap for "+sig] = "trap 'echo t" + sig + "' " + sig + " 2>/dev/null; trap | wc -l"
	}
	return out
}

// volatile is what differs from run to run, with or without us.
var volatile = regexp.MustCompile(`(?m)^sh: \d+: |line \d+: +\d+ |/tmp/[^ ]*`)

func TestCommandsDoTheSameWithAndWithout(t *testing.T) {
	t.Parallel()
	for name, script := range scripts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			argv := []string{"bash", "-c", script, "zero", "one", "two words", ""}
			stdin := "first\nsecond\n"
			bare, with := run(t, quiet(), argv, stdin), run(t, quiet(), wrapped(argv...), stdin)
			for _, o := range []*outcome{&bare, &with} {
				if o.stderr = volatile.ReplaceAllString(o.stderr, ""); len(o.stdout) < 1<<20 { // a flood has nothing of it, and takes minutes
					o.stdout = volatile.ReplaceAllString(o.stdout, "")
				}
			}
			if bare != with {
				t.Errorf("%s\nbare %s\nwith %s", script, brief(bare), brief(with))
			}
		})
	}
}

func brief(o outcome) string {
	short := func(s string) string {
		if len(s) > 400 {
			return fmt.Sprintf("%d bytes, %x", len(s), sha256.Sum256([]byte(s)))
		}
		return strconv.Quote(s)
	}
	return fmt.Sprintf("exit %d, out %s, err %s, files %s", o.code, short(o.stdout), short(o.stderr), short(o.files))
}

func TestTheEnvironmentIsTheSame(t *testing.T) {
	t.Parallel()
	env := quiet("EMPTY=", "WITH SPACE=x y", "TWICE=1", "TWICE=2", "no-equals-sign", "BIG="+strings.Repeat("x", 120000), "UTF=ä\n☃", "=odd=1")
	bare := run(t, env, []string{"cat", "/proc/self/environ"}, "")
	with := run(t, env, wrapped("cat", "/proc/self/environ"), "")
	if bare != with {
		t.Errorf("bare %s\nwith %s", brief(bare), brief(with))
	}
}

func TestMergedOutputKeepsItsOrder(t *testing.T) {
	t.Parallel()
	script := "for i in $(seq 1 3000); do echo o$i; echo e$i >&2; done"
	var got [2]string
	for i, argv := range [][]string{{"bash", "-c", script}, wrapped("bash", "-c", script)} {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = quiet()
		var b bytes.Buffer
		cmd.Stdout, cmd.Stderr = &b, &b // one pipe for both
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		got[i] = b.String()
	}
	if got[0] != got[1] {
		t.Error("the order of the lines of two streams in one file changed")
	}
}

func TestOutputGoesToFilesAsItWould(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]int{"written": os.O_WRONLY, "appended": os.O_WRONLY | os.O_APPEND} {
		f, err := os.OpenFile(filepath.Join(t.TempDir(), "f"), flags|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteString("head\n")
		cmd := exec.Command(wrapper, "run", "--", "sh", "-c", "seq 1 50000; echo end >&2")
		cmd.Env, cmd.Stdout = quiet(), f
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(f.Name())
		if err != nil || len(b) != 5+288894 || !bytes.HasPrefix(b, []byte("head\n1\n")) || !bytes.HasSuffix(b, []byte("\n50000\n")) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

func TestABlockedReaderBlocksTheCommand(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(wrapper, "run", "--", "head", "-c", "20000000", "/dev/zero")
	cmd.Env = quiet()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	state := make(chan struct{})
	go func() {
		var info syscall.Rusage
		var ws syscall.WaitStatus
		_, err := syscall.Wait4(cmd.Process.Pid, &ws, 0, &info)
		close(state)
		exited <- err
	}()
	select {
	case <-state:
		t.Fatal("the command ended although nobody read its output")
	case <-time.After(300 * time.Millisecond): // what is shown is that nothing happens
	}
	n, err := io.Copy(io.Discard, out)
	if err != nil || n != 20000000 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := <-exited; err != nil {
		t.Error(err)
	}
}

func TestAReaderThatGoesAwayEndsTheCommand(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(wrapper, "run", "--", "yes")
	cmd.Env = quiet()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	_ = out.Close()
	err = cmd.Wait()
	if code := status(cmd.ProcessState); code != 128+int(syscall.SIGPIPE) {
		t.Errorf("%v, %d", err, code)
	}
}
