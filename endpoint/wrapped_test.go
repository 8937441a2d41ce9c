// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

// shells are those of this machine that a pod may bring.
func shells(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, name := range []string{"bash", "dash", "sh"} {
		if path, err := exec.LookPath(name); err == nil {
			out = append(out, path)
		}
	}
	if path, err := exec.LookPath("busybox"); err == nil { // ash
		link := filepath.Join(t.TempDir(), "sh")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		out = append(out, link)
	}
	if len(out) == 0 {
		t.Skip("no shell")
	}
	return out
}

func TestTheCommandRunsWhateverIsWrongWithTheWrapper(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"it is missing":        func(string) error { return nil },
		"it is not executable": func(path string) error { return os.WriteFile(path, []byte("#!/bin/sh\nexit 0\n"), 0o644) },
		"it is a folder":       func(path string) error { return os.Mkdir(path, 0o755) },
		"it is of another architecture": func(path string) error {
			elf := append([]byte("\x7fELF\x02\x01\x01"), bytes.Repeat([]byte{0}, 200)...)
			elf[16], elf[18] = 2, 0xf3 // an executable for RISC-V
			return os.WriteFile(path, elf, 0o755)
		},
		"it is empty":                func(path string) error { return os.WriteFile(path, []byte{0, 0, 0, 0}, 0o755) },
		"its interpreter is missing": func(path string) error { return os.WriteFile(path, []byte("#!/does/not/exist\n"), 0o755) },
		"it fails at once": func(path string) error {
			return os.WriteFile(path, []byte("#!/bin/sh\necho oops; echo oops >&2; exit 1\n"), 0o755)
		},
		"it dies by a signal": func(path string) error { return os.WriteFile(path, []byte("#!/bin/sh\nkill -SEGV $$\n"), 0o755) },
		"it reads the input": func(path string) error {
			return os.WriteFile(path, []byte("#!/bin/sh\ncat >/dev/null; exit 1\n"), 0o755)
		},
	} {
		for _, shell := range shells(t) {
			t.Run(name+" with "+filepath.Base(shell), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "wrapper")
				if err := put(path); err != nil {
					t.Fatal(err)
				}
				original := []string{shell, "-c", `printf '<%s>' "$0" "$@"; cat; echo to stderr >&2; exit 42`, "zero", "a b", "*", ""}
				prefix := Prefix(shell)
				prefix[2] = strings.ReplaceAll(prefix[2], startup.WrapperPath, path)
				want, got := runs(t, original), runs(t, slices.Concat(prefix, original))
				if want != got {
					t.Errorf("without\n%s\nwith\n%s", want, got)
				}
			})
		}
	}
}

func TestAWrapperThatWorksRunsTheCommand(t *testing.T) {
	for _, shell := range shells(t) {
		path := filepath.Join(t.TempDir(), "wrapper")
		const good = "#!/bin/sh\n[ \"$1\" = version ] && echo v1 && exit 0\n[ \"$1 $2\" = 'run --' ] || exit 9\nshift 2\necho wrapped\nenv | grep COLDTRACE\nexec \"$@\"\n"
		if err := os.WriteFile(path, []byte(good), 0o755); err != nil {
			t.Fatal(err)
		}
		prefix := Prefix(shell)
		prefix[2] = strings.ReplaceAll(prefix[2], startup.WrapperPath, path)
		original := []string{shell, "-c", `printf '<%s>' "$@"; exit 7`, "zero", "a b", ""}
		if got := runs(t, slices.Concat(prefix, original)); got != "exit 7\nwrapped\n<a b><>\n" {
			t.Errorf("%s: %q", shell, got)
		}
	}
}

// runs is what a command does: exit code, output, errors.
func runs(t *testing.T, argv []string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader("input\n")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return fmt.Sprintf("exit %d\n%s\n%s", cmd.ProcessState.ExitCode(), out.String(), errs.String())
}

func TestUnwrapTakesOffWhatPrefixPutOn(t *testing.T) {
	for _, shell := range []string{"", "/bin/sh", "bash"} {
		original := []string{"vllm", "serve", "m"}
		got, n := Unwrap(slices.Concat(Prefix(shell), original))
		if !slices.Equal(got, original) || n != len(Prefix(shell)) {
			t.Errorf("shell %q: %q, %d", shell, got, n)
		}
	}
	for _, argv := range [][]string{nil, {"a"}, {"bash", "-c", "x", "coldtrace", "y"}, {startup.WrapperPath, "run", "--"}, {startup.WrapperPath, "probe"}} {
		if got, n := Unwrap(argv); n != 0 || !slices.Equal(got, argv) {
			t.Errorf("%q: %q, %d", argv, got, n)
		}
	}
}
