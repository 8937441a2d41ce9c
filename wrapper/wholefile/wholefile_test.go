// SPDX-License-Identifier: Apache-2.0

package wholefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		content io.Reader
		want    string
		err     error
	}{
		"all of it can be read":         {strings.NewReader("new"), "new", nil},
		"there is nothing":              {strings.NewReader(""), "", nil},
		"reading breaks off in between": {io.MultiReader(strings.NewReader("ne"), iotest.ErrReader(broken)), "old", broken},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := Write(path, c.content, 0o755); !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != c.want {
				t.Errorf("the file is %q, %v", b, err)
			}
			if info, err := os.Stat(path); c.err == nil && (err != nil || info.Mode() != 0o755) {
				t.Errorf("its mode is %v, %v", info.Mode(), err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	if err := Write(filepath.Join(t.TempDir(), "none", "file"), strings.NewReader(""), 0o600); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}

func TestWhatIsNoFileIsLeftAsItIs(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o600), os.Symlink(file, link), os.Mkdir(filepath.Join(dir, "dir"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, filepath.Join(dir, "dir"), "/dev/null"} {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(path, strings.NewReader("new"), 0o644); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s: %v", path, err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s was replaced (%v)", path, err)
		}
	}
}
