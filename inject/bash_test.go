// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

// fakeServer prints its words, so that every difference in what the server is given shows, and fails.
const fakeServer = "#!/bin/sh\nfor a in \"$0\" \"$@\"; do printf '<%s>' \"$a\"; done; echo\nexit 3\n"

// shell runs scripts in a folder with fake servers.
type shell struct{ bash, dir string }

func newShell(t *testing.T) *shell {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	s := &shell{bash, t.TempDir()}
	for _, name := range []string{"python", "python3", "vllm"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(fakeServer), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// run is the exit code, the output and the errors of a script, less the times that time prints.
func (s *shell) run(ctx context.Context, script string, env ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.bash, "-c", script)
	cmd.Dir = s.dir
	cmd.Env = append([]string{"PATH=" + s.dir + ":/usr/bin:/bin", "HOME=/", "X_UNSET_OK=v"}, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("run bash: %w", err)
	}
	return fmt.Sprintf("exit %d\n%s", cmd.ProcessState.ExitCode(), out.String()) + withoutTimes(errs.String()), nil
}

// differs says how bash tells an edited script from the original, empty if it does not.
func (s *shell) differs(ctx context.Context, script, after string, withFlag bool) (string, error) {
	was, err := s.run(ctx, kubeletExpand(script, nil))
	if err != nil {
		return "", err
	}
	is, err := s.run(ctx, kubeletExpand(after, nil))
	if err != nil {
		return "", err
	}
	if was != is {
		return fmt.Sprintf("without %s\nwith %s", was, is), nil
	}
	if !withFlag || !strings.Contains(was, "<--") {
		return "", nil
	}
	// env becomes its command too, and changes nothing.
	through, err := s.run(ctx, kubeletExpand(after, nil), startup.EnvVLLMExec+"=/usr/bin/env")
	if err == nil && was != through {
		return fmt.Sprintf("without %s\nthrough a program %s", was, through), nil
	}
	return "", err
}

// COLDTRACE_SCRIPTS is how many scripts are tried, COLDTRACE_SEED which.
func TestBashDoesTheSameWithAndWithoutAnEmptyPlaceholder(t *testing.T) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	var (
		sh      = newShell(t)
		count   = number("COLDTRACE_SCRIPTS", 2500)
		gen     = scripts{rand.New(rand.NewPCG(1, uint64(number("COLDTRACE_SEED", 2))))}
		work    = make(chan string)
		group   sync.WaitGroup
		edits   atomic.Int64
		flagged atomic.Int64
	)
	for range 2 * runtime.GOMAXPROCS(0) { // they wait for processes most of the time
		group.Go(func() {
			for script := range work {
				after, _ := edit(t, script)
				if after == script {
					continue
				}
				withFlag := edits.Add(1)%4 == 0
				if withFlag {
					flagged.Add(1)
				}
				difference, err := sh.differs(t.Context(), script, after, withFlag)
				if err != nil {
					t.Error(err)
				} else if difference != "" {
					t.Errorf("script\n%s\nedited\n%s\n%s", script, after, difference)
				}
			}
		})
	}
	for range count {
		if t.Failed() {
			break
		}
		work <- gen.script()
	}
	close(work)
	group.Wait()
	if n := int(edits.Load()); n < count/2 && !t.Failed() {
		t.Errorf("only %d of %d scripts were edited", n, count)
	}
	t.Logf("%d scripts, %d edited, %d of them run with the flag too", count, edits.Load(), flagged.Load())
}

func withoutTimes(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "real ") && !strings.HasPrefix(line, "user ") && !strings.HasPrefix(line, "sys ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}
