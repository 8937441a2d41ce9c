// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// program is a Go program of this repository or of its tools.
type program struct {
	module  string // folder of its go.mod in the checkout
	pkg     string
	version string // what the linker stamps, as -X takes it; %s is our version
}

var programs = map[string]program{
	"coldtrace":          {pkg: "./cmd/coldtrace", version: "main.version=%s"},
	"coldtrace-wrapper":  {pkg: "./cmd/coldtrace-wrapper", version: "main.version=%s"},
	"coldtrace-observer": {pkg: "./cmd/coldtrace-observer", version: "main.version=%s"},
	"sim":                {pkg: "./test/sim"},
	"receiver":           {pkg: "./test/receiver"},
	"s3":                 {module: "test/s3", pkg: "."},
	"s5cmd":              {module: "test/s3", pkg: "github.com/peak/s5cmd/v2", version: "github.com/peak/s5cmd/v2/version.Version=v2.3.0"},
}

// workshop builds programs, each once.
type workshop struct {
	checkout string
	version  string
	git      bool // whether git knows the checkout
	built    map[string]string
	engine   map[string][]v1.Layer // by architecture
}

// open makes the folder that programs are built into, this process's alone until release.
func (s *workshop) open() (release func(), err error) {
	dir := filepath.Join(s.checkout, ".cluster", "images")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create folder for programs: %w", err)
	}
	lock, err := os.Create(filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, fmt.Errorf("create lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		lock.Close()
		return nil, fmt.Errorf("wait for another build: %w", err)
	}
	return func() { lock.Close() }, nil
}

// binary returns the path of a static program for the architecture. Go leaves one alone that is up to date.
func (s *workshop) binary(ctx context.Context, name, arch string) (string, error) {
	path := filepath.Join(s.checkout, ".cluster", "images", arch, name)
	if s.built[path] != "" {
		return path, nil
	}
	p := programs[name]
	ours := strings.Contains(p.version, "%s") // says its commit, too, as an archive's does
	ldflags := "-s -w"
	if p.version != "" {
		ldflags += " -X " + strings.Replace(p.version, "%s", s.version, 1)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs="+strconv.FormatBool(ours && s.git), "-trimpath", "-tags", "grpcnotrace", "-ldflags", ldflags, "-o", path, p.pkg)
	cmd.Dir = filepath.Join(s.checkout, p.module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	s.built[path] = name
	return path, nil
}

// fromDebian finds a static program of this machine's distribution, in one of the places where its package has put it.
func fromDebian(pkg string, places ...string) (string, error) {
	i := slices.IndexFunc(places, func(p string) bool {
		_, err := os.Stat(p)
		return err == nil
	})
	if i < 0 {
		return "", fmt.Errorf("find %s: not installed; apt-get install %s", places[0], pkg)
	}
	file, err := elf.Open(places[i])
	if err != nil {
		return "", fmt.Errorf("read %s: %w", places[i], err)
	}
	defer file.Close()
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return "", fmt.Errorf("use %s: it needs shared libraries; apt-get install %s", places[i], pkg)
	}
	return places[i], nil
}

// applets are the paths busybox wants to be known under.
func applets(ctx context.Context, busybox string) ([]string, error) {
	out, err := exec.CommandContext(ctx, busybox, "--list-full").Output()
	if err != nil {
		return nil, fmt.Errorf("list busybox's applets: %w", err)
	}
	return strings.Fields(string(out)), nil
}
