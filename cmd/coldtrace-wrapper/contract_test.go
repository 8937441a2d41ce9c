// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// surroundings are commands that start another one somewhere special, and a command that looks at what it got.
var surroundings = map[string]struct{ around, command []string }{
	"limits below their maxima": {
		[]string{"prlimit", "--nofile=300:4000", "--core=0:100", "--stack=4194304:8388608", "--nproc=9000:9001", "--"},
		[]string{"sh", "-c", "cat /proc/self/limits"},
	},
	// Those that Go's runtime does not take away before any of our code runs: see the README.
	"ignored signals": {[]string{"bash", "-c", `trap '' HUP INT TSTP TTIN TTOU; exec "$@"`, "bash"}, []string{"grep", "SigIgn", "/proc/self/status"}},
	"blocked signals": {[]string{"env", "--block-signal=USR1,USR2,PIPE,ALRM,CONT,TSTP,TTIN,TTOU,XCPU,XFSZ,VTALRM,WINCH,POLL,PWR,RTMAX"}, []string{"grep", "SigBlk", "/proc/self/status"}},
	"a folder that was removed": {
		[]string{"sh", "-c", `mkdir gone; cd gone; rmdir ../gone; exec "$@"`, "sh"},
		[]string{"sh", "-c", "readlink /proc/self/cwd | sed 's/.*gone/gone/'; ls | wc -l"},
	},
	"a umask":                      {[]string{"sh", "-c", `umask 0137; exec "$@"`, "sh"}, []string{"sh", "-c", "umask; touch f"}},
	"a name that is looked up":     {nil, []string{"cat", "/proc/self/cmdline"}},
	"descriptors":                  {[]string{"bash", "-c", `exec 3</dev/zero 7>/dev/null 19<>/dev/zero; exec "$@"`, "bash"}, []string{"ls", "/proc/self/fd"}},
	"an environment of two":        {[]string{"env", "-i", "POD_UID=u", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, []string{"/usr/bin/env"}},
	"an empty environment":         {[]string{"env", "-i"}, []string{"/usr/bin/env"}},
	"an environment of 1.5 MB":     {[]string{"bash", "-c", `for i in {1..12}; do export BIG$i=$(head -c 125000 /dev/zero | tr '\0' x); done; exec "$@"`, "bash"}, []string{"sh", "-c", "grep -z ^BIG /proc/self/environ | sort -z | sha256sum"}},
	"a string as long as may be":   {[]string{"bash", "-c", `export BIG=$(head -c 131067 /dev/zero | tr '\0' x); exec "$@"`, "bash"}, []string{"sh", "-c", "tr '\\0' '\\n' < /proc/self/environ | grep ^BIG | wc -c"}},
	"niceness and a processor":     {[]string{"nice", "-n", "7", "taskset", "-c", "0"}, []string{"sh", "-c", "nice; taskset -p $$ | sed 's/.*: //'"}},
	"an OOM score":                 {[]string{"choom", "-n", "321", "--"}, []string{"cat", "/proc/self/oom_score_adj"}},
	"no new privileges":            {[]string{"setpriv", "--no-new-privs"}, []string{"grep", "NoNewPrivs", "/proc/self/status"}},
	"another user":                 {[]string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"}, []string{"sh", "-c", "id; exit 3"}},
	"an appended file for both":    {[]string{"bash", "-c", `exec >>out 2>>out; exec "$@"`, "bash"}, []string{"bash", "-c", "for i in {1..500}; do echo o$i; echo e$i >&2; done"}},
	"one file opened twice":        {[]string{"bash", "-c", `exec >out 2>out; exec "$@"`, "bash"}, []string{"bash", "-c", "echo 1234567890; sleep 0.2; echo abc >&2"}},
	"one file opened once":         {[]string{"bash", "-c", `exec >out 2>&1; exec "$@"`, "bash"}, []string{"bash", "-c", "for i in {1..500}; do echo o$i; echo e$i >&2; done"}},
	"standard files that are null": {[]string{"bash", "-c", `exec </dev/null >/dev/null 2>&1; exec "$@"`, "bash"}, []string{"sh", "-c", "echo lost; echo lost >&2; exit 4"}},
}

// The same holds for a wrapper that becomes the command.
func TestACommandFindsItsSignalsAsTheyAreWithoutADestination(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ignored signals", "blocked signals"} {
		c := surroundings[name]
		env := []string{"PATH=" + os.Getenv("PATH")}
		bare := run(t, env, append(slices.Clone(c.around), c.command...), "")
		with := run(t, env, append(slices.Clone(c.around), wrapped(c.command...)...), "")
		if bare != with {
			t.Errorf("%s: bare %s\nwith %s", name, brief(bare), brief(with))
		}
	}
}

func TestACommandFindsItsSurroundingsAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, c := range surroundings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(c.around) > 0 {
				if _, err := exec.LookPath(c.around[0]); err != nil {
					t.Skip(err)
				}
			}
			bare := run(t, quiet(), append(slices.Clone(c.around), c.command...), "")
			with := run(t, quiet(), append(slices.Clone(c.around), wrapped(c.command...)...), "")
			if name == "an environment of two" { // as the wrapper itself got it
				bare.stdout = strings.ReplaceAll(bare.stdout, "\n\n", "\n")
			}
			if bare != with {
				t.Errorf("bare %s\nwith %s", brief(bare), brief(with))
			}
		})
	}
}

func TestAProgramThatIsBeingWrittenOrMayNotRunIs126(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	busy := filepath.Join(dir, "busy")
	program, err := os.ReadFile("/bin/true")
	if err == nil {
		err = os.WriteFile(busy, program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(busy, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if o := run(t, quiet(), wrapped(busy), ""); o.code != 126 || !strings.Contains(o.stderr, "text file busy") {
		t.Errorf("%+v", o)
	}
	mount := []string{"unshare", "--mount", "--", "sh", "-c", `mount -t tmpfs -o noexec none "$0" && cp /bin/true "$0"/program && exec "$@"`, dir}
	if exec.Command(mount[0], append(mount[1:], "true")...).Run() != nil {
		t.Skip("no mount namespaces here")
	}
	if o := run(t, quiet(), append(mount, wrapped(dir+"/program")...), ""); o.code != 126 || !strings.Contains(o.stderr, "permission denied") {
		t.Errorf("%+v", o)
	}
}

// session starts a wrapped script in a session of its own and returns its lines.
func session(t *testing.T, around []string, env []string, argv ...string) (*exec.Cmd, io.WriteCloser, <-chan string) {
	t.Helper()
	all := append(slices.Clone(around), argv...)
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Env, cmd.SysProcAttr = env, &syscall.SysProcAttr{Setsid: true}
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
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return cmd, in, lines
}

func TestASignalThatWasBlockedReachesACommandThatUnblocksIt(t *testing.T) {
	t.Parallel()
	script := `use POSIX; $| = 1; $SIG{USR1} = sub { print "got it\n"; exit 0 }; print "ready\n"; <STDIN>;
		sigprocmask(SIG_UNBLOCK, POSIX::SigSet->new(SIGUSR1)); print "nothing\n"; sleep 20`
	cmd, in, lines := session(t, []string{"env", "--block-signal=USR1"}, quiet(), wrapped("perl", "-e", script)...)
	expect(t, lines, "ready")
	if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	// The wrapper forwards in its own time; the command must hold the signal then, and does until it unblocks it.
	for pending := false; !pending; {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", childOf(t, cmd.Process.Pid)))
		if err != nil {
			t.Fatal(err)
		}
		pending = strings.Contains(string(b), "ShdPnd:\t0000000000000200")
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "got it")
}

func TestAnInheritedDescriptorIsTheCommandsAlone(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(wrapper, "run", "--", "bash", "-c", "echo through >&3; exec 3>&-; read line")
	cmd.Env, cmd.ExtraFiles = quiet(), []*os.File{w}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if err := r.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r) // ends when the command closes it, though it runs on
	if err != nil || string(b) != "through\n" {
		t.Errorf("%q, %v", b, err)
	}
	_ = in.Close()
	_ = cmd.Wait()
}

func TestAWrapperThatIsKilledTakesNothingWithIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, in, lines := session(t, nil, quiet(), wrapped("bash", "-c", `echo $$; read line; echo survived > `+dir+`/f`)...)
	pid := <-lines
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = cmd.Process.Wait()
	if _, err := os.Stat("/proc/" + pid); err != nil {
		t.Fatal("the command went with the wrapper")
	}
	fd, err := unix.PidfdOpen(atoi(t, pid), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	_ = in.Close()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000); err != nil || n != 1 { //nolint:gosec // fds are small
		t.Fatalf("the command did not end by itself: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(b) != "survived\n" {
		t.Errorf("%q, %v", b, err)
	}
}
