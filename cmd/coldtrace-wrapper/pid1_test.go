// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// notForwarded are signals that no program sees (KILL, STOP), that are the wrapper's own (CHLD, and of Go's runtime URG
// and PROF) or a C library's (32 to 34).
var notForwarded = []int{9, 17, 19, 23, 27, 32, 33, 34}

func forwarded() (numbers []int) {
	for n := 1; n < 65; n++ {
		if !slices.Contains(notForwarded, n) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// receiver is a program that does with signals what its arguments say, one after the other; "then" makes it another
// program, with the arguments that follow. It says that it is ready, and at the end of a line of input what it has got.
const receiver = `
import os, signal, sys, threading
numbers = [int(n) for n in os.environ["NUMBERS"].split()]
got, end = [], numbers[-1]
for i, what in enumerate(sys.argv[1:]):
    if what == "then":
        os.execv(sys.executable, [sys.executable, sys.argv[0]] + sys.argv[i + 2:])
    if what == "blocks": signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    if what in ("default", "ignores", "handles"):
        handler = {"default": signal.SIG_DFL, "ignores": signal.SIG_IGN, "handles": lambda n, _: got.append(n)}[what]
        for n in numbers: signal.signal(n, handler)
    if what == "leaves": signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
def finish():
    print(sys.argv[1:], sorted(got), sorted(int(n) for n in signal.sigpending()), flush=True)
print("ready", flush=True)
if sys.argv[-1] == "waits":
    def tell():
        sys.stdin.readline()
        os.kill(os.getpid(), end)
    threading.Thread(target=tell).start()
    n = 0
    while n != end:
        n = signal.sigwait(numbers)
        got.append(int(n))
else:
    sys.stdin.readline()
finish()
sys.exit(len(got) % 100)
`

// TestASignalReachesTheCommandAsItWouldTheFirstProcess sends every signal to the first process of a PID namespace, which
// is the command itself or the wrapper, and compares what there is to see of both.
func TestASignalReachesTheCommandAsItWouldTheFirstProcess(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "receiver.py")
	if err := os.WriteFile(script, []byte(receiver), 0o600); err != nil {
		t.Fatal(err)
	}
	python := pythonPath(t)
	program := func(does ...string) []string { return append([]string{python, script}, does...) }
	shell := func(text string) []string {
		return []string{"bash", "-c", `trap "echo trapped exit" EXIT; ` + text, "shell", python, script}
	}
	const (
		traps   = `for n in $NUMBERS; do trap "echo trapped $n" $n; done; `
		ignores = `for n in $NUMBERS; do trap "" $n; done; `
		waits   = `"$@"; echo "its status is $?"; exit 3`
	)
	for name, argv := range map[string][]string{
		"a program that sets nothing up":                     program("nothing"),
		"a program that handles all":                         program("handles"),
		"a program that ignores all":                         program("ignores"),
		"a program that wants the default of all":            program("default"),
		"a program that blocks all":                          program("blocks"),
		"a program that blocks and handles all":              program("handles", "blocks"),
		"a program that blocks and ignores all":              program("ignores", "blocks"),
		"a program that waits for all":                       program("blocks", "waits"),
		"a program that handled all before its exec":         program("handles", "then", "nothing"),
		"a program that ignored all before its exec":         program("ignores", "then", "nothing"),
		"a program that blocked all before its exec":         program("blocks", "then", "nothing"),
		"a program that handles all since its exec":          program("nothing", "then", "handles"),
		"a program that ignores all since its exec":          program("handles", "then", "ignores"),
		"a program that blocks all since its exec":           program("nothing", "then", "blocks"),
		"a shell that waits":                                 shell(`"$@" nothing; echo "its status is $?"; exit 3`),
		"a shell that waits for who handles all":             shell(`"$@" handles; echo "its status is $?"; exit 3`),
		"a shell that waits and handles all":                 shell(traps + waits),
		"a shell that waits and ignores all":                 shell(ignores + waits),
		"a shell that waits in a mask":                       append(program("blocks", "then"), "nothing"),
		"a shell that became another program":                shell(`exec "$@" nothing`),
		"a shell that handled all, and became another":       shell(traps + `exec "$@" nothing`),
		"a shell that ignored all, and became another":       shell(ignores + `exec "$@" nothing`),
		"a shell that became a program that handles all":     shell(`exec "$@" handles`),
		"a shell with a child that has its own session":      shell(`setsid -w "$@" nothing; echo "its status is $?"; exit 3`),
		"a shell with a handling child in a session":         shell(`setsid -w "$@" handles; echo "its status is $?"; exit 3`),
		"a shell that handles all, its child has a session":  shell(traps + `setsid -w "$@" nothing; echo "its status is $?"; exit 3`),
		"a shell that ignores all, its child has a session":  shell(ignores + `setsid -w "$@" nothing; echo "its status is $?"; exit 3`),
		"a program that ends when told, between two signals": program("leaves"),
		"tini and a program that handles all":                append([]string{"tini", "--"}, program("handles")...),
		"tini that is a subreaper already":                   append([]string{"tini", "-s", "--"}, program("handles")...),
		"dumb-init and a program that handles all":           append([]string{"dumb-init"}, program("handles")...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			numbers := forwarded()
			if argv[0] == "dumb-init" { // it has its children stop for these, and stay so
				numbers = slices.DeleteFunc(numbers, func(n int) bool { return n == 20 || n == 21 || n == 22 })
			}
			bare, with := signalled(t, argv, numbers), signalled(t, wrapped(argv...), numbers)
			if bare != with {
				t.Errorf("bare %q\nwith %q", bare, with)
			}
		})
	}
}

func pythonPath(t *testing.T) string {
	t.Helper()
	const usual = "/usr/bin/python3" // what a version manager puts in front of it is a slow script
	if _, err := os.Stat(usual); err == nil {
		return usual
	}
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// signalled runs a command as the first process, sends it signals once it says that it is ready, and then a line of
// input. It returns all that can be seen.
func signalled(t *testing.T, argv []string, numbers []int) string {
	t.Helper()
	return asFirst(t, argv, func(first int) {
		for _, n := range numbers[:len(numbers)-1] { // the last is the receiver's own
			if err := syscall.Kill(first, syscall.Signal(n)); err != nil {
				return // it has ended, which will be seen
			}
			settled(first)
		}
	})
}

// asFirst runs a receiver as the first process of a namespace, does something to that, and lets it end. It returns all
// that can be seen.
func asFirst(t *testing.T, argv []string, do func(first int)) string {
	t.Helper()
	argv = firstProcess(t, argv)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = quiet("NUMBERS=" + strings.Trim(fmt.Sprint(forwarded()), "[]"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); line != "ready\n" {
		_ = cmd.Wait()
		t.Fatalf("%q, %v, %s", line, err, &stderr)
	}
	do(childOf(t, cmd.Process.Pid))
	_, _ = io.WriteString(in, "\n")
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return fmt.Sprintf("exit %d, out %s, err %s", status(cmd.ProcessState), rest, &stderr)
}

// TestAHookThatLooksForTheServerFindsItOnce runs what a preStop hook would, within the container.
func TestAHookThatLooksForTheServerFindsItOnce(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "receiver.py")
	if err := os.WriteFile(script, []byte(receiver), 0o600); err != nil {
		t.Fatal(err)
	}
	server := []string{pythonPath(t), script, "handles"}
	shell := func(text string) []string { return append([]string{"bash", "-c", text, "shell"}, server...) }
	for name, argv := range map[string][]string{
		"a server":                                  server,
		"a shell that waits for its server":         shell(`"$@"; exit $?`),
		"a shell that waits for one of the session": shell(`setsid -w "$@"; exit $?`),
		"a shell that had another child":            shell(`sleep 0.01 & "$@"; exit $?`),
		"a shell that handles the signal":           shell(`trap 'echo it waited' TERM HUP; "$@"; exit 5`),
		"a shell that became its server":            shell(`exec "$@"`),
		"a shell that tidies up at its exit":        shell(`trap 'echo tidied' EXIT; "$@"; exit 5`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, hook := range []string{
				"pkill -TERM -f receiver.py", "pkill -HUP -f receiver", "kill -TERM 1", "kill -USR1 $(pgrep -f receiver.py | tail -n 1)",
				"pgrep -fc receiver.py", "kill -KILL 1; kill -STOP 1",
			} {
				var seen [2]string
				for i, argv := range [][]string{argv, wrapped(argv...)} {
					seen[i] = asFirst(t, argv, func(first int) {
						if argv[0] == wrapper { // from then on it knows what it runs
							eventually(10*time.Second, func() bool { return observed(first) })
						}
						in := exec.Command("nsenter", "--target", strconv.Itoa(first), "--pid", "--mount", "--", "sh", "-c", hook)
						out, _ := in.Output() // that nobody was found, or may be killed
						seen[i] = string(out)
						settled(first)
					}) + seen[i]
				}
				if seen[0] != seen[1] {
					t.Errorf("%s\nbare %q\nwith %q", hook, seen[0], seen[1])
				}
			}
		})
	}
}

// settled waits until a process has seen to its signals: none is pending that it does not block, and all its threads
// and its children sleep, and have not woken up meanwhile.
func settled(pid int) {
	for before, until := "", time.Now().Add(20*time.Second); time.Now().Before(until); time.Sleep(2 * time.Millisecond) {
		now, quiet := activity(pid)
		for _, child := range childrenOf(pid) {
			more, still := activity(child)
			now, quiet = now+more, quiet && still
		}
		if quiet && now == before {
			return
		}
		before = now
	}
}

// activity is how often the threads of a process have been switched, and whether all of them are asleep now.
func activity(pid int) (switches string, asleep bool) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid)) // the pattern is well formed
	asleep = true
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			switch name {
			case "State":
				asleep = asleep && value[0] != 'R' && value[0] != 'D'
			case "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches":
				switches += value + " "
			}
		}
	}
	return switches, asleep
}

// observed tells whether a wrapper has an observer.
func observed(pid int) bool {
	return slices.ContainsFunc(childrenOf(pid), func(child int) bool {
		argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)) // it has ended
		return bytes.HasSuffix(argv, []byte("\x00observe\x00"))
	})
}

func childrenOf(pid int) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is well formed
	for _, file := range files {
		b, _ := os.ReadFile(file) // it has ended
		for field := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(field); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// TestAnInitSystemIsTheFirstProcess has programs that are not what they are called, as images have them.
func TestAnInitSystemIsTheFirstProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"says-its-pid":  "#!/bin/sh\necho $$\n",
		"entrypoint":    "#!/bin/bash\nset -e\nexport A=b\nexec \"$(dirname \"$0\")/systemd\" \"$@\"\n",
		"takes-command": "#!/bin/sh\nexec \"$@\"\n",
		"initialises":   "#!/bin/sh\n: systemd\necho $$\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile("/bin/bash")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "finit"), program, 0o755)
	}
	if err == nil {
		err = os.Symlink("finit", filepath.Join(dir, "boot"))
	}
	if err == nil {
		err = os.Symlink("says-its-pid", filepath.Join(dir, "systemd"))
	}
	if err != nil {
		t.Fatal(err)
	}
	const first, other = "1\n", "not 1\n"
	for name, c := range map[string]struct {
		argv []string
		want string
	}{
		"an init system":                     {[]string{"finit", "-c", "echo $$"}, first},
		"a link to one":                      {[]string{"boot", "-c", "echo $$"}, first},
		"a script that becomes one":          {[]string{dir + "/entrypoint", "x"}, first},
		"a script that becomes its argument": {[]string{"takes-command", "finit", "-c", "echo $$"}, first},
		"a shell that becomes one":           {[]string{"bash", "-c", "exec finit -c 'echo $$'"}, first},
		"a script that is only called so":    {[]string{"systemd"}, other},
		"a script that speaks of one":        {[]string{"initialises"}, other},
		"a script with another argument":     {[]string{"takes-command", "says-its-pid"}, other},
		"a shell":                            {[]string{"bash", "-c", "echo $$; true"}, other},
	} {
		o := run(t, quiet("PATH=" + dir + ":/usr/bin:/bin")[1:], firstProcess(t, wrapped(c.argv...)), "")
		if o.stdout != first {
			o.stdout = other
		}
		if o.stdout != c.want || o.code != 0 || o.stderr != "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
}
