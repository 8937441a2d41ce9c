// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// tcp is a server that does one thing to whoever connects.
func tcp(t *testing.T, do func(*net.TCPConn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if c, ok := conn.(*net.TCPConn); ok {
				go do(c)
			}
		}
	}()
	return l.Addr().String()
}

// unanswered is an address at which nobody answers, not even to refuse: its queue of connections is full.
func unanswered(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.Listen(fd, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	for {
		conn, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

// web is an HTTP server with one answer.
func web(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: answer, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

// broken are collectors as one should not have them: endpoint and protocol.
func broken(t *testing.T) map[string][2]string {
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	reset := func(after int) string {
		return tcp(t, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, after))
			_ = c.SetLinger(0)
			_ = c.Close()
		})
	}
	say := func(words string) string {
		return tcp(t, func(c *net.TCPConn) {
			defer c.Close()
			_, _ = c.Write([]byte(words))
			<-forever
		})
	}
	refusing := func(err error) *otlptest.Receiver {
		r := otlptest.New(t)
		r.Answer = func() error { return err }
		return r
	}
	throttled, later := refusing(&otlptest.Refusal{Status: 429, RetryAfter: "3600"}), refusing(&otlptest.Refusal{Status: 503, RetryAfter: "1"})
	partial, unavailable := refusing(&otlptest.Partial{Rejected: 1, Message: "no"}), refusing(grpcstatus.Error(codes.Unavailable, "later"))
	slow := otlptest.New(t)
	slow.Answer = func() error {
		select {
		case <-forever:
		case <-time.After(30 * time.Second):
		}
		return nil
	}
	endless := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	const grpc, http11 = startup.ProtocolGRPC, startup.ProtocolHTTP
	return map[string][2]string{
		"has no address":                  {"http://collector.invalid:4317", grpc},
		"refuses":                         {"http://127.0.0.1:1", grpc},
		"refuses, HTTP":                   {"http://127.0.0.1:1", http11},
		"is a black hole":                 {"http://" + unanswered(t), grpc},
		"is a black hole, HTTP":           {"http://" + unanswered(t), http11},
		"accepts and is silent":           {"http://" + say(""), grpc},
		"accepts and is silent, HTTP":     {"http://" + say(""), http11},
		"answers after 30 s":              {"http://" + slow.GRPC, grpc},
		"answers after 30 s, HTTP":        {slow.HTTP, http11},
		"resets at once":                  {"http://" + reset(0), grpc},
		"resets in the middle":            {"http://" + reset(200), grpc},
		"resets in the middle, HTTP":      {"http://" + reset(200), http11},
		"speaks plain text":               {"http://" + say("220 mail\r\n"), grpc},
		"speaks HTTP on the gRPC port":    {partial.HTTP, grpc},
		"speaks gRPC on the HTTP port":    {"http://" + partial.GRPC, http11},
		"speaks plain text, asked in TLS": {"https://" + partial.GRPC, grpc},
		"answers junk": {web(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			_, _ = w.Write([]byte("<html>"))
		}), http11},
		"answers without an end":    {web(t, endless), http11},
		"cuts its answers short":    {"http://" + say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nxx"), http11},
		"sends headers without end": {"http://" + say("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)), http11},
		"redirects to itself": {web(t, func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, q.URL.Path, http.StatusTemporaryRedirect)
		}), http11},
		"throttles for an hour, HTTP": {throttled.HTTP, http11},
		"is overloaded, HTTP":         {later.HTTP, http11},
		"is overloaded":               {"http://" + unavailable.GRPC, grpc},
		"rejects a part":              {"http://" + partial.GRPC, grpc},
		"is no URL":                   {"nonsense://", grpc},
	}
}

// chaotic is an environment with a collector, and all defaults otherwise.
func chaotic(endpoint, protocol string, more ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "POD_UID=" + podUID, "OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint,
		"OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol, "OTEL_EXPORTER_OTLP_HEADERS=api-key=secret", "COLDTRACE_CONTAINER=chaos-test",
	}, more...)
}

func TestNoCollectorChangesWhatACommandDoes(t *testing.T) {
	t.Parallel()
	// It fails after the observer has begun, so its story is worth waiting for: that is the worst case.
	argv := []string{"bash", "-c", "seq 1 5000; echo err >&2; sleep 0.5; echo more; exit 7"}
	bare := run(t, quiet(), argv, "")
	for name, c := range broken(t) {
		t.Run("a collector that "+name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			with := run(t, chaotic(c[0], c[1]), wrapped(argv...), "")
			// 0.5 s of the command, 2 s of patience, and what a machine that does other work takes for itself.
			if took := time.Since(began); bare != with || took > 12*time.Second {
				t.Errorf("after %v\nbare %s\nwith %s", took, brief(bare), brief(with))
			}
		})
	}
}

func TestATerminationIsNotProlongedByADeadCollector(t *testing.T) {
	t.Parallel()
	script := `trap 'sleep 4.2; echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done`
	cmd, _, lines := session(t, nil, chaotic("http://"+unanswered(t), startup.ProtocolGRPC, "COLDTRACE_FLUSH_TIMEOUT=4s"), wrapped("bash", "-c", script)...)
	expect(t, lines, "ready")
	observing(t, cmd.Process.Pid)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "bye")
	said := time.Now()
	_ = cmd.Wait()
	// The time-out had passed before the command ended.
	if took := time.Since(said); status(cmd.ProcessState) != 3 || took > 3500*time.Millisecond {
		t.Errorf("exit %d, %v after the command", status(cmd.ProcessState), took)
	}
}

// observing waits for the observer of a wrapper, and returns its process.
func observing(t *testing.T, pid int) int {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			b, _ := os.ReadFile(task) // a thread may have ended
			for child := range strings.FieldsSeq(string(b)) {
				line, _ := os.ReadFile("/proc/" + child + "/cmdline") // and so may a process
				if strings.Contains(string(line), "\x00observe") {
					return atoi(t, child)
				}
			}
		}
	}
	t.Fatal("no observer")
	return 0
}

// resident is a process's memory, in kB.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	return atoi(t, strings.Fields(rest)[0])
}

func TestABurstBeforeADeadCollectorTakesLittleMemory(t *testing.T) {
	t.Parallel()
	script := `read go; yes 'INFO 11-20 02:22:30 [file.py:123] a line of a log that says nothing in particular' | head -n 100000; echo done; read stop`
	cmd, in, lines := session(t, nil, chaotic("http://"+unanswered(t), startup.ProtocolGRPC, "COLDTRACE_ENGINE=vllm"), wrapped("bash", "-c", script)...)
	observer := observing(t, cmd.Process.Pid)
	_, _ = in.Write([]byte("go\n"))
	n := 0
	for line := range lines {
		if line == "done" {
			break
		}
		n++
	}
	if n != 100_000 {
		t.Errorf("%d lines", n)
	}
	if kB := resident(t, observer); kB > 40<<10 {
		t.Errorf("the observer took %d kB", kB)
	}
	if kB := resident(t, cmd.Process.Pid); kB > 16<<10 {
		t.Errorf("the wrapper took %d kB", kB)
	}
	_ = in.Close()
	_ = cmd.Wait()
}

// memoryFull is a file system that has no room, in a mount namespace: a prefix of a command.
func memoryFull(t *testing.T, places ...string) []string {
	t.Helper()
	const script = `for p in %s; do mount -t tmpfs -o size=4k none $p && head -c 4096 /dev/zero > $p/full; done; exec "$@"`
	prefix := []string{"unshare", "--mount", "--", "sh", "-c", fmt.Sprintf(script, strings.Join(places, " ")), "sh"}
	if exec.Command(prefix[0], append(slices.Clone(prefix[1:]), "true")...).Run() != nil {
		t.Skip("no mount namespaces here")
	}
	return prefix
}

func TestAFullDiskLosesFilesOfOursAndNothingElse(t *testing.T) {
	t.Parallel()
	full := memoryFull(t, "/tmp", "/dev/shm", "/mnt")
	for _, file := range []string{"/mnt/status", "/dev/full", "/no/such/folder/status", "/proc/status"} {
		r := otlptest.New(t)
		argv := []string{"bash", "-c", "echo out; echo err >&2; sleep 0.5; exit 7"}
		at := []string{"sh", "-c", `cd /; exec "$@"`, "sh"}
		program := filepath.Dir(wrapper)
		env := chaotic("http://"+r.GRPC, startup.ProtocolGRPC, "COLDTRACE_STATUS_FILE="+file, "COLDTRACE_FLUSH_TIMEOUT=10s")
		// The wrapper itself lies in /tmp: keep a way to it.
		keep := []string{"unshare", "--mount", "--", "sh", "-c", "mount --bind " + program + " /opt && exec \"$@\"", "sh"}
		with := run(t, env, slices.Concat(keep, full, at, []string{"/opt/" + filepath.Base(wrapper), "run", "--"}, argv), "")
		if with.code != 7 || with.stdout != "out\n" || with.stderr != "err\n" {
			t.Errorf("%s: %s", file, brief(with))
		}
		if s, ok := r.WaitSpan(time.Second, startup.SpanStartup); !ok || s.Error != "exit_code=7" {
			t.Errorf("%s: %+v", file, s)
		}
	}
}

func TestOutputToAFullDiskDoesNotHoldTheCommand(t *testing.T) {
	t.Parallel()
	for _, argv := range [][]string{{"sh", "-c", "seq 1 100000 2>/dev/null; exit 3"}, {"sh", "-c", "seq 1 100000 >&2; echo x; exit 3"}} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(wrapper, append([]string{"run", "--"}, argv...)...)
		cmd.Env, cmd.Stdout, cmd.Stderr = quiet(), full, full
		err = cmd.Run()
		_ = full.Close()
		if status(cmd.ProcessState) != 3 {
			t.Errorf("%q: %v", argv, err)
		}
	}
}

func TestAStartIsToldAsFarAsItCanBeSeen(t *testing.T) {
	t.Parallel()
	dir := image(t)
	const nobody = `exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"`
	for name, c := range map[string]struct {
		prepare string
		blind   bool
	}{
		"without /proc":                   {`mount -t tmpfs none /proc; exec "$@"`, true},
		"with the /proc of others":        {`exec "$@"`, true},
		"with hidepid, as nobody":         {`mount -t proc -o hidepid=2 none /proc; ` + nobody, false},
		"as nobody":                       {`mount -t proc none /proc; ` + nobody, false},
		"in a PID namespace with others":  {`mount -t proc none /proc; sleep 100 & "$@"; s=$?; kill $!; exit $s`, false},
		"without /dev/shm, /tmp and /sys": {`mount -t proc none /proc; for d in /dev/shm /sys; do mount -t tmpfs -o ro none $d; done; exec "$@"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := otlptest.New(t)
			around := []string{"unshare", "--pid", "--mount", "--fork", "--kill-child", "--", "sh", "-c", c.prepare, "sh"}
			if exec.Command(around[0], "--pid", "--mount", "--fork", "true").Run() != nil {
				t.Skip("no namespaces here")
			}
			for _, folder := range []string{dir, filepath.Dir(dir), filepath.Dir(wrapper)} { // others must get there, too
				if err := os.Chmod(folder, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			env := traced(dir, "http://"+r.GRPC, "SIM_FAIL=cuda_oom", "SIM_TRUTH="+t.TempDir()+"/none", "COLDTRACE_CONTAINER=chaos-"+strconv.Itoa(len(name))+"-test")
			o := run(t, env, slices.Concat(around, []string{wrapper, "run", "--", "python", "-m", "vllm_server", "--model", "m"}), "")
			if o.code != 1 {
				t.Errorf("%s", brief(o))
			}
			total, ok := r.WaitSpan(time.Second, startup.SpanStartup)
			if !ok || total.Error != "cuda_out_of_memory" || (total.Attributes["unobserved"] == "processes") != c.blind {
				t.Errorf("%+v", total)
			}
			if s, ok := r.WaitSpan(time.Second, startup.SpanVLLMInit); !ok || s.Error != "cuda_out_of_memory" {
				t.Errorf("%+v", r.Spans())
			}
		})
	}
}

// A container that runs out of memory is killed as a whole: nobody is left to tell what is not told.
func TestWhatWasCompleteIsThereWhenAllIsKilledAtOnce(t *testing.T) {
	t.Parallel()
	dir, r := toolbox(t), otlptest.New(t)
	env := traced(dir, "http://"+r.GRPC, "TOOL_SECONDS=3", "COLDTRACE_CONTAINER=killed-test")
	argv := firstProcess(t, wrapped("bash", "-c", "s5cmd cp 's3://b/*' model; sleep 1000"))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = env, dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if s, ok := r.WaitSpan(30*time.Second, startup.SpanS5cmdDownload); !ok || s.Error != "" {
		t.Errorf("%+v", s)
	}
	_ = cmd.Process.Kill() // --kill-child takes the namespace with it
	_ = cmd.Wait()
	if s, ok := r.WaitSpan(0, startup.SpanStartup); ok {
		t.Errorf("told by nobody: %+v", s)
	}
}
