// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/program"
)

// wrapper is the built program: what it promises, it promises as a process.
var wrapper string

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		if err := command(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if total, err := strconv.ParseInt(os.Getenv(emitEnv), 10, 64); err == nil {
		if err := emit(total); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "coldtrace-wrapper-*")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	wrapper = filepath.Join(dir, startup.WrapperName)
	// Started by nohup, or in the background of a shell, the tests' own commands would inherit that these are ignored.
	// What is caught is not inherited.
	caught := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(caught, sig)
		}
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// build puts both programs into a folder.
func build(dir string) error {
	paths, err := program.Build("cmd/coldtrace-wrapper", "cmd/coldtrace-observer")
	for _, path := range paths {
		err = errors.Join(err, place(path, filepath.Join(dir, filepath.Base(path))))
	}
	return err
}

// place copies a program to where everybody may start it.
func place(program, as string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	return os.WriteFile(as, text, 0o755)
}

// quiet is an environment in which the wrapper supervises and nobody listens at the other end.
func quiet(more ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/root", "LC_ALL=C", "POD_UID=0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "COLDTRACE_FLUSH_TIMEOUT=1ms", "COLDTRACE_CONTAINER=test",
	}, more...)
}

// outcome is what can be seen of a command from outside.
type outcome struct {
	code           int
	stdout, stderr string
	files          string // what it left in its working directory
}

// run runs a command to its end.
func run(t *testing.T, env, argv []string, stdin string) outcome {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Stdin = env, dir, &stdout, &stderr, strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as a container's first process
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v", argv, err)
	}
	o := outcome{code: status(cmd.ProcessState), stdout: stdout.String(), stderr: stderr.String()}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		o.files += fmt.Sprintf("%s %v %x\n", e.Name(), info.Mode(), b)
	}
	return o
}

// status is the exit code, as a shell and the wrapper count.
func status(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

func wrapped(argv ...string) []string { return append([]string{wrapper, "run", "--"}, argv...) }

// firstProcess runs a command as PID 1 of a PID namespace of its own, or skips.
func firstProcess(t *testing.T, argv []string) []string {
	t.Helper()
	prefix := []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--"}
	if exec.Command(prefix[0], append(slices.Clone(prefix[1:]), "true")...).Run() != nil {
		t.Skip("no PID namespaces here")
	}
	return append(prefix, argv...)
}

func TestEveryExitCodeComesThrough(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprintf("as PID 1 %v", first), func(t *testing.T) {
			t.Parallel()
			for code := range 256 {
				argv := wrapped("sh", "-c", fmt.Sprintf("exit %d", code))
				if first {
					argv = firstProcess(t, argv)
				}
				if o := run(t, quiet(), argv, ""); o.code != code || o.stderr != "" {
					t.Fatalf("exit %d: %+v", code, o)
				}
			}
		})
	}
}

func TestDeathBySignalIs128AndTheSignal(t *testing.T) {
	t.Parallel()
	for n := 1; n < 65; n++ {
		switch syscall.Signal(n) {
		case syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG,
			syscall.SIGWINCH, 32, 33:
			continue // these end nobody, or belong to the C library
		}
		argv := wrapped("sh", "-c", fmt.Sprintf("kill -%d $$; sleep 5", n))
		if o := run(t, quiet(), argv, ""); o.code != 128+n {
			t.Errorf("signal %d: %+v", n, o)
		}
	}
}

func TestACommandThatCannotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"noexec": "#!/bin/sh\n", "badinterp": "#!/no/such\n", "noline": "echo ran \"$@\"; exit 5\n"} {
		mode := os.FileMode(0o755)
		if name == "noexec" {
			mode = 0o644
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		argv   []string
		code   int
		stdout string
	}{
		"is not in PATH":            {[]string{"no-such-command"}, 127, ""},
		"does not exist":            {[]string{"/no/such/command"}, 127, ""},
		"is a folder":               {[]string{dir}, 126, ""},
		"is not executable":         {[]string{dir + "/noexec"}, 126, ""},
		"is not executable in PATH": {[]string{"noexec"}, 126, ""},
		"has no interpreter":        {[]string{dir + "/badinterp"}, 127, ""},
		"has an empty name":         {[]string{""}, 127, ""},
		"is a script without #!":    {[]string{"noline", "a b"}, 5, "ran a b\n"},
		"is missing":                {nil, 64, ""},
	} {
		env := quiet("PATH=" + dir + ":/usr/bin:/bin")[1:]
		for _, unset := range []bool{false, true} {
			e := env
			if unset { // then the wrapper becomes the command
				e = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "POD_UID") })
			}
			o := run(t, e, wrapped(c.argv...), "")
			if o.code != c.code || o.stdout != c.stdout || (c.stdout == "") == (o.stderr == "") {
				t.Errorf("a command that %s (exec at once: %v): %+v", name, unset, o)
			}
		}
	}
}

func TestWithoutADestinationTheWrapperIsGone(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{"POD_UID=", "OTEL_EXPORTER_OTLP_ENDPOINT="} {
		env := slices.DeleteFunc(quiet(), func(v string) bool { return strings.HasPrefix(v, missing) })
		cmd := exec.Command(wrapper, "run", "--", "sh", "-c", "echo $$")
		cmd.Env = env
		out, err := cmd.Output()
		if err != nil || strings.TrimSpace(string(out)) != strconv.Itoa(cmd.Process.Pid) {
			t.Errorf("without %s the command is another process: %q, %v", missing, out, err)
		}
	}
}

func TestWhateverIsWrongWithTheObserverTheCommandRuns(t *testing.T) {
	t.Parallel()
	script := []string{"bash", "-c", "seq 1 20000; echo err >&2; sleep 0.3; echo more; exit 7"}
	bare := run(t, quiet(), script, "")
	for name, c := range map[string]struct {
		observer string // empty: there is none
		mode     os.FileMode
		gone     bool // the wrapper is, too
	}{
		"it is missing":           {"", 0, true},
		"it is not executable":    {"#!/bin/sh\n", 0o644, true},
		"it is for nobody's kind": {"\x7fELF?", 0o755, false},
		"it ends at once":         {"#!/bin/sh\nexit 1\n", 0o755, false},
		"it is killed":            {"#!/bin/sh\nkill -9 $$\n", 0o755, false},
		"it hangs":                {"#!/bin/sh\nexec sleep 60\n", 0o755, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			wrapper := filepath.Join(dir, startup.WrapperName)
			program, err := os.ReadFile(wrapped()[0])
			if err == nil {
				err = os.WriteFile(wrapper, program, 0o755)
			}
			if err == nil && c.observer != "" {
				err = os.WriteFile(filepath.Join(dir, startup.ObserverName), []byte(c.observer), c.mode)
			}
			if err != nil {
				t.Fatal(err)
			}
			if with := run(t, quiet(), append([]string{wrapper, "run", "--"}, script...), ""); with != bare {
				t.Errorf("bare %s\nwith %s", brief(bare), brief(with))
			}
			cmd := exec.Command(wrapper, "run", "--", "sh", "-c", "echo $$")
			cmd.Env = quiet()
			out, err := cmd.Output()
			if err != nil || (strings.TrimSpace(string(out)) == strconv.Itoa(cmd.Process.Pid)) != c.gone {
				t.Errorf("the command is process %q of %d, %v", out, cmd.Process.Pid, err)
			}
			if c.gone {
				return
			}
			// Where nobody passes vLLM's spans on, it is told so, and need not wait.
			ask := `: vllm "${COLDTRACE_VLLM_EXEC:+}"; for i in {1..20}; do curl -s -o /dev/null -m 20 "$COLDTRACE_VLLM_INBOX"; [ $? = 7 ] && echo refused && exit; done`
			if c.observer == "#!/bin/sh\nexec sleep 60\n" {
				return // it might do so yet
			}
			if o := run(t, quiet(), []string{wrapper, "run", "--", "bash", "-c", ask}, ""); o.stdout != "refused\n" {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestInstallCopiesTheProgramsAndNeverFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if o := run(t, quiet(), []string{wrapper, "install", dir}, ""); o.code != 0 || o.stderr != "" {
		t.Fatalf("%+v", o)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o755 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	}
	if o := run(t, quiet(), []string{filepath.Join(dir, startup.WrapperName), "version"}, ""); o.code != 0 || o.stdout != "dev\n" {
		t.Errorf("the copy does not run: %+v", o)
	}
	if o := run(t, quiet(), []string{filepath.Join(dir, startup.ObserverName)}, ""); o.code != 64 || o.stdout != "" {
		t.Errorf("the observer's copy does not run: %+v", o)
	}
	for name, args := range map[string][]string{
		"a folder that is not there": {"/no/such/folder"}, "a file": {wrapper}, "no argument": {}, "two arguments": {dir, dir},
	} {
		o := run(t, quiet(), append([]string{wrapper, "install"}, args...), "")
		if o.code != 0 || o.stderr == "" {
			t.Errorf("install with %s: %+v", name, o)
		}
	}
}

// What the supervisor imports is initialised before the command starts, and held as long as it runs.
func TestTheSupervisorImportsLittle(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		for _, heavy := range []string{"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/proto", "google.golang.org", "net/http", "regexp", "yaml"} {
			if pkg == heavy || strings.HasPrefix(pkg, heavy+"/") || heavy == "yaml" && strings.Contains(pkg, heavy) {
				t.Errorf("%s is too much", pkg)
			}
		}
	}
}
