// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// buildAll makes what is missing or out of date, one row at a time: a link of Kubernetes takes all the
// memory and cores there are.
func buildAll(ctx context.Context, l layout, out *progress, names ...string) error {
	rows, err := buildsFor(names)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.bin, 0o755); err != nil {
		return fmt.Errorf("create bin folder: %w", err)
	}
	unlock, err := lockFile(ctx, filepath.Join(l.bin, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	var (
		todo  []order
		lists []string
	)
	for _, b := range rows {
		o, err := b.order(l)
		if err != nil {
			return err
		}
		if len(o.stale) > 0 {
			todo, lists = append(todo, o), append(lists, strings.Join(o.stale, ", "))
		}
	}
	if len(todo) > 1 {
		fmt.Fprintf(out.w, "  to build, once, in %d steps: %s\n", len(todo), strings.Join(lists, "; "))
	}
	defer download(ctx, l, todo[min(1, len(todo)):])()
	for i, o := range todo {
		if err := out.step(fmt.Sprintf("built %s (%d of %d)", lists[i], i+1, len(todo)), func() error { return o.fill(ctx, l) }); err != nil {
			return err
		}
	}
	return nil
}

// download gets what rows are made of while one before them is compiled, until it is told to stop: half a minute of waiting for the
// network. What it cannot get the row's own build asks for, and says so.
func download(ctx context.Context, l layout, todo []order) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var under sync.WaitGroup
	under.Go(func() {
		for _, o := range todo {
			cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-tags", o.tags}, o.packages(o.stale)...)...)
			cmd.Dir = filepath.Join(l.checkout, o.module)
			_ = cmd.Run() // see above
		}
	})
	return func() { cancel(); under.Wait() }
}

// order is what is missing or out of date of a row.
type order struct {
	build
	stamp string
	stale []string
}

func (b build) order(l layout) (order, error) {
	stamp, err := b.stamp(l.checkout)
	if err != nil {
		return order{}, err
	}
	o := order{build: b, stamp: stamp}
	for _, name := range slices.Sorted(mapKeys(b.bins)) {
		if !fresh(l, name, stamp) {
			o.stale = append(o.stale, name)
		}
	}
	return o, nil
}

func (o order) fill(ctx context.Context, l layout) error {
	if err := o.goBuild(ctx, l, o.stale); err != nil {
		return err
	}
	for _, name := range o.stale {
		if err := os.WriteFile(stampFile(l, name), []byte(o.stamp), 0o644); err != nil {
			return fmt.Errorf("write build stamp: %w", err)
		}
	}
	return nil
}

func stampFile(l layout, name string) string { return filepath.Join(l.bin, "."+name+".stamp") }

func fresh(l layout, name, stamp string) bool {
	if _, err := os.Stat(filepath.Join(l.bin, name)); err != nil {
		return false
	}
	have, err := os.ReadFile(stampFile(l, name))
	return err == nil && string(have) == stamp
}

// goBuild compiles into a folder of its own and renames, so that a running binary is never written to
// and an interrupted build leaves the old one in place.
func (b build) goBuild(ctx context.Context, l layout, names []string) error {
	tmp, err := os.MkdirTemp(l.bin, ".build-")
	if err != nil {
		return fmt.Errorf("create build folder: %w", err)
	}
	defer os.RemoveAll(tmp)

	flags := strings.TrimSpace("-s -w " + b.ldflags)
	args := []string{"build", "-buildvcs=false", "-trimpath", "-tags", b.tags, "-ldflags", flags}
	packages := b.packages(names)
	// Several packages go by their own names; one is named by us, who may call it by several.
	program := func(pkg string) string { return filepath.Join(tmp, path.Base(pkg)) }
	args = append(args, "-o", tmp+string(filepath.Separator))
	if len(packages) == 1 {
		program = func(string) string { return filepath.Join(tmp, "program") }
		args[len(args)-1] = program("")
	}
	args = append(args, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(l.checkout, b.module)
	cmd.Env = append(os.Environ(), b.env...)
	// An interrupted go command stops its compilers and removes its work; a killed one doesn't.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if outp, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", strings.Join(names, ", "), err, outp)
	}
	for _, name := range names {
		link := filepath.Join(tmp, "."+name)
		if err := os.Link(program(b.bins[name]), link); err != nil {
			return fmt.Errorf("name %s: %w", name, err)
		}
		if err := os.Rename(link, filepath.Join(l.bin, name)); err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
	}
	return nil
}

// packages are what the named binaries are built from; several may be one, under names of their own.
func (b build) packages(names []string) (packages []string) {
	for _, name := range names {
		if !slices.Contains(packages, b.bins[name]) {
			packages = append(packages, b.bins[name])
		}
	}
	return packages
}

// stamp identifies everything that decides what the row's binaries are.
func (b build) stamp(checkout string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, b.ldflags, b.tags, b.env)
	// With code of our own in the checkout the pinned versions are only half of it.
	files := []string{filepath.Join(checkout, b.module, "go.mod"), filepath.Join(checkout, b.module, "go.sum")}
	for _, dir := range b.sources {
		found, err := goFiles(filepath.Join(checkout, dir))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	for _, f := range files {
		if err := hashFile(h, f); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func goFiles(dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list sources: %w", err)
	}
	return found, nil
}

// hashFile adds name and content; a module without dependencies has no go.sum.
func hashFile(h io.Writer, name string) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open source: %w", err)
	}
	defer f.Close()
	fmt.Fprintln(h, filepath.Base(name))
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("read source: %w", err)
	}
	return nil
}
