// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup/container"
)

// elsewhere runs the helper that watches ./s5cmd, behind a shell command that prepares where it runs, and returns what it
// printed until its command ended.
func elsewhere(t *testing.T, prepare string) (sights []sight, closed time.Time) {
	t.Helper()
	script := prepare + ` "$@"`
	cmd := exec.Command("unshare", "--pid", "--mount", "--fork", "--kill-child", "--", "sh", "-c", script, "sh",
		bin+"/s5cmd", "sh", "-c", "./s5cmd copy 5000000 && true")
	cmd.Dir, cmd.Env = bin, append(os.Environ(), roleEnv+"=watch")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
	}()
	for in := json.NewDecoder(bufio.NewReader(stdout)); ; {
		var s sight
		switch err := in.Decode(&s); {
		case errors.Is(err, io.EOF):
			return sights, closed
		case err != nil:
			t.Fatal(err)
		}
		sights = append(sights, s)
		if s.Kind != ended && (s.Kind != became || slices.Equal(s.Argv[:min(1, len(s.Argv))], []string{"./s5cmd"})) && closed.IsZero() {
			closed = time.Now()
			_ = stdin.Close()
		}
	}
}

// privileged skips a test that makes namespaces.
func privileged(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 || exec.Command("unshare", "--pid", "--mount", "--fork", "--", "true").Run() != nil {
		t.Skip("makes namespaces, for which it must be root")
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip(err)
	}
}

const nobody = "exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs"

func TestItNeedsNoPrivileges(t *testing.T) {
	privileged(t)
	for name, prepare := range map[string]string{
		"as root":                     "mount -t proc proc /proc; exec",
		"as nobody":                   "mount -t proc proc /proc; " + nobody,
		"where others' are forbidden": "mount -t proc -o hidepid=1 proc /proc; sleep 1000 & " + nobody,
		"where others' are hidden":    "mount -t proc -o hidepid=2 proc /proc; sleep 1000 & " + nobody,
		"without capabilities":        "mount -t proc proc /proc; " + nobody + " --bounding-set=-all",
	} {
		t.Run(name, func(t *testing.T) {
			sights, closed := elsewhere(t, prepare)
			i := slices.IndexFunc(sights, func(s sight) bool { return s.Kind == ended && slices.Contains(s.Argv, "copy") })
			if i < 0 {
				t.Fatalf("%+v", sights)
			}
			within(t, "the end", sights[i].End, closed, time.Now())
			for _, s := range sights {
				if slices.Contains(s.Argv, "sleep") {
					t.Errorf("another's process: %+v", s)
				}
			}
		})
	}
}

func TestWhereNothingCanBeSeenItSaysSo(t *testing.T) {
	privileged(t)
	for name, c := range map[string]struct{ prepare, says string }{
		"no /proc":                           {"mount -t tmpfs none /proc; exec", "readlink /proc/self: "},
		"no /proc, as nobody":                {"mount -t tmpfs none /proc; " + nobody, "readlink /proc/self: "},
		"the /proc of another PID namespace": {"exec", "another PID namespace"},
		"an unreadable /proc, as nobody":     {"mount -t tmpfs -o mode=0700 none /proc; " + nobody, "readlink /proc/self: "},
		"something else there":               {"mount --bind /etc /proc; exec", "readlink /proc/self: "},
	} {
		t.Run(name, func(t *testing.T) {
			sights, _ := elsewhere(t, c.prepare)
			if len(sights) != 1 || !strings.Contains(sights[0].Kind, c.says) {
				t.Errorf("%+v, want %q", sights, c.says)
			}
		})
	}
}

func TestAProcessOfAnotherUserIsSeenWithoutItsBytes(t *testing.T) {
	privileged(t)
	c := start(t, -1, "sh", "-c", "./s5cmd copy 5000000; true")
	if line, err := c.stdout.ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	w := exec.Command(bin+"/s5cmd", strconv.Itoa(c.Process.Pid))
	w.Dir, w.Env, w.Stderr = bin, append(os.Environ(), roleEnv+"=follow"), os.Stderr
	w.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := w.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	found := false
	for in := json.NewDecoder(out); ; {
		var s sight
		if err := in.Decode(&s); err != nil {
			break
		}
		if len(s.Argv) == 0 || s.Argv[0] != "./s5cmd" {
			continue
		}
		if s.Kind == became {
			_ = c.stdin.Close()
		} else {
			found = true
			if s.IO != (container.IO{}) || s.End.IsZero() {
				t.Errorf("%+v", s)
			}
		}
	}
	if err := w.Wait(); err != nil || !found {
		t.Error(err, found)
	}
}
