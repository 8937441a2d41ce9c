// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMountsAreParsed(t *testing.T) {
	got, err := parseMounts(`36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
37 35 0:31 / /with\040blank\134 rw - tmpfs tmpfs rw
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []mount{{"/mnt2", "ext3"}, {`/with blank\`, "tmpfs"}}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := parseMounts("nonsense\n"); err == nil {
		t.Error("nonsense was parsed")
	}
}

func TestClustersInTwoFoldersHaveTwoCgroups(t *testing.T) {
	if cgroupName("/a/.cluster") == cgroupName("/b/.cluster") {
		t.Error("they share one")
	}
	if name := cgroupName("/a/.cluster"); len(name) != len("coldtrace-")+8 || strings.Contains(name, "/") {
		t.Errorf("name %q", name)
	}
}

func TestAProcessIsAliveUntilItHasEnded(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := findProcess(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if !p.alive() {
		t.Error("dead while it runs")
	}
	if other := (process{PID: p.PID, Start: "1"}); other.alive() {
		t.Error("another process with that id is taken for it")
	}
	if err := endProcess(p, false); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("alive as a zombie")
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended well")
	}
	if p.alive() || (process{}).alive() {
		t.Error("alive after its end")
	}
}

func TestTheTopologyCountsRealCPUsOverAndOver(t *testing.T) {
	for _, cpus := range []int{1, 2, 12, 64, 256} {
		dir := t.TempDir()
		if err := writeTopology(dir, cpus); err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(dir, "node*", "cpu*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) < claimedCPUs {
			t.Errorf("%d real CPUs: %d counted", cpus, len(found))
		}
		for _, c := range found {
			if _, err := os.Stat(filepath.Join(c, "topology", "core_id")); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestPollGivesUpWhenTheProcessEnds(t *testing.T) {
	cmd := exec.Command("sh", "-c", "exit 3")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &waiter{cmd: cmd, done: make(chan struct{})}
	go w.wait() //nolint:errcheck // its exit code is what is tested
	err := poll(t.Context(), w, func(context.Context) error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "exit code 3") {
		t.Errorf("error %v", err)
	}
}

func TestPollEndsWithItsContextAndSaysWhatItLastHeard(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := poll(ctx, nil, func(context.Context) error { return errors.New("warming up") })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "warming up") {
		t.Errorf("error %v", err)
	}
}

func TestProgressIsCopiedUntilReadyOrFailed(t *testing.T) {
	l := testLayout(t)
	for name, c := range map[string]struct{ in, printed, err string }{
		"ready":             {"  ✓ etcd\n" + readyLine + "\n", "  ✓ etcd\n", ""},
		"failed with a log": {"  ✓ etcd\n" + failedLine + "wait for kubelet\nlog line\n", "  ✓ etcd\n", "wait for kubelet\nlog line"},
		"killed":            {"  ✓ etcd\n", "  ✓ etcd\n", "without a word"},
	} {
		t.Run(name, func(t *testing.T) {
			var printed strings.Builder
			err := follow(bufio.NewScanner(strings.NewReader(c.in)), l, newProgress(&printed))
			if printed.String() != c.printed {
				t.Errorf("printed %q", printed.String())
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

func TestASocketsPathMayBeLong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ln, err := listenUnix(filepath.Join(dir, "node.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	info, err := os.Stat(filepath.Join(dir, "node.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info, err)
	}
}

func TestUsageIsShownForWhatIsNotACommand(t *testing.T) {
	stderr := os.Stderr
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = write
	code, err := run(t.Context(), []string{"restart"})
	os.Stderr = stderr
	write.Close()
	said, _ := io.ReadAll(read)
	if code != 2 || err != nil || !strings.Contains(string(said), "usage:") {
		t.Errorf("code %d, error %v, said %q", code, err, said)
	}
}
