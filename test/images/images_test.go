// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"debug/buildinfo"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/coldtrace/coldtrace/test/assets"
)

func TestImagesComeBackFromARegistryAsTheyAreDescribed(t *testing.T) {
	if _, err := exec.LookPath("bash-static"); err != nil && os.Geteuid() != 0 {
		assets.Lacks(t, "needs bash-static and busybox-static, which `make test` installs as root")
	}
	host := startRegistry(t)
	if err := run(t.Context(), []string{"--registry", host}, t.Output()); err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string]struct {
		user  string
		files []string
		only  bool // nothing else is in it
	}{
		"coldtrace":         {user: "65532:65532", files: []string{"/coldtrace", "/etc/passwd"}},
		"coldtrace-wrapper": {user: "65532:65532", files: []string{"/coldtrace-wrapper", "/coldtrace-observer"}, only: true},
		"sim": {files: []string{
			"/bin/bash", "/bin/sh", "/usr/bin/base64", "/bin/sleep", "/bin/cat", "/usr/bin/env", "/bin/ls", "/workspace/s5cmd",
			"/usr/bin/python", "/usr/bin/python3", "/usr/local/bin/vllm", "/usr/local/bin/text-generation-launcher",
			"/usr/local/lib/python3.12/dist-packages/vllm-0.17.0.dist-info/METADATA",
			"/usr/local/lib/python3.12/dist-packages/opentelemetry/exporter/otlp/proto/http/trace_exporter/__init__.py",
		}},
		"forwarder": {files: []string{"/usr/bin/dumb-init", "/usr/local/bin/ddtrace-run", "/usr/bin/python"}},
	} {
		t.Run(image, func(t *testing.T) {
			img := pull(t, host+"/"+image+":dev")
			config, err := img.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if config.Config.User != want.user || config.OS != "linux" || config.Architecture != runtime.GOARCH {
				t.Errorf("it is for %s/%s and user %q, want linux/%s and %q", config.OS, config.Architecture, config.Config.User, runtime.GOARCH, want.user)
			}
			modes := contents(t, img)
			for _, file := range want.files {
				if mode, ok := modes[file]; !ok {
					t.Errorf("it lacks %s", file)
				} else if mode&0o444 != 0o444 {
					t.Errorf("%s has mode %o: not everyone can read it", file, mode)
				}
			}
			for _, file := range want.files {
				if p := programs[filepath.Base(file)]; strings.Contains(p.version, "%s") {
					saysItsCommit(t, filepath.Base(file))
				}
			}
			if want.only && len(modes) != len(want.files) {
				t.Errorf("it holds %v, want only %v", modes, want.files)
			}
		})
	}
}

// saysItsCommit: `coldtrace version` has the commit and its date from there.
func saysItsCommit(t *testing.T, program string) {
	t.Helper()
	checkout, err := findCheckout()
	if err != nil {
		t.Fatal(err)
	}
	if git, err := os.Stat(filepath.Join(checkout, ".git")); err != nil || !git.IsDir() {
		return // Go looks for no other
	}
	info, err := buildinfo.ReadFile(filepath.Join(checkout, ".cluster", "images", runtime.GOARCH, program))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"vcs.revision", "vcs.time"} {
		if !slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == key && s.Value != "" }) {
			t.Errorf("%s has no %s", program, key)
		}
	}
}

func TestTheSameContentIsTheSameImage(t *testing.T) {
	source := filepath.Join(t.TempDir(), "program")
	var digests [2]v1.Hash
	for i := range digests {
		if err := os.WriteFile(source, []byte("#!/bin/sh\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(source, time.Time{}, time.Unix(int64(i)*1e6, 0)); err != nil {
			t.Fatal(err)
		}
		tree := defaultVariant.Tree()
		tree.Add("program", source)
		p, err := draw(v1.Config{}, tree)
		if err != nil {
			t.Fatal(err)
		}
		img, err := assemble(p, "image", "v1", "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if digests[i], err = img.Digest(); err != nil {
			t.Fatal(err)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("made twice, the image is %v and %v", digests[0], digests[1])
	}
}

func TestSeveralArchitecturesMakeAnIndex(t *testing.T) {
	host := startRegistry(t)
	if err := run(t.Context(), []string{"--registry", host, "--arch", "amd64,arm64", "coldtrace-wrapper"}, t.Output()); err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		img := pull(t, host+"/coldtrace-wrapper:dev", remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != arch {
			t.Errorf("asked for %s, got %s", arch, config.Architecture)
		}
	}
}

func TestTheSimulatedEndpointHasWhatModelEnginesCommandsUse(t *testing.T) {
	if os.Geteuid() != 0 {
		assets.Lacks(t, "chroot needs root")
	}
	host := startRegistry(t)
	if err := run(t.Context(), []string{"--registry", host, "--variant", "vllm=0.8.5,otel=half", "sim"}, t.Output()); err != nil {
		t.Fatal(err)
	}
	for tag, version := range map[string]string{"dev": "0.17.0", "0.8.5-otel-half": "0.8.5"} {
		root := t.TempDir()
		unpack(t, pull(t, host+"/sim:"+tag), root)
		for command, want := range map[string]string{
			"set -euo pipefail;./s5cmd version":                  "v2.3.0",
			`X=$(echo "b2s=" | base64 --decode);echo "$X"`:       "ok",
			"cat " + "/" + sitePackages + "/vllm/_version.py":    version,
			"python -m vllm_server --nonsense 1 2>&1 || echo $?": "\n2",
			"vllm serve --nonsense 1 2>&1 || echo $?":            "\n2",
			"sh -c 'echo $0'; readlink -f /usr/bin/python":       "/usr/bin/python3.12",
		} {
			cmd := exec.Command("/bin/bash", "-c", command)
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
			cmd.Dir, cmd.Env = "/workspace", []string{paths}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("sim:%s: %s: %v, %q; want %q", tag, command, err, out, want)
			}
		}
	}
}

func TestWhatCannotBeBuiltIsSaid(t *testing.T) {
	for name, args := range map[string][]string{
		"no registry":                         {"sim"},
		"no such image":                       {"--registry", "127.0.0.1:1", "simm"},
		"no such variant":                     {"--registry", "127.0.0.1:1", "--variant", "vllm=0.17.0,otel=some"},
		"a version with a slash":              {"--registry", "127.0.0.1:1", "--variant", "vllm=../0.17.0"},
		"a shell of an architecture not here": {"--registry", "127.0.0.1:1", "--arch", "s390x", "sim"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), args, io.Discard); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestEveryVariantHasATagOfItsOwn(t *testing.T) {
	all, err := parseVariants("all")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]Variant{}
	for _, v := range all {
		if other, ok := seen[v.Tag()]; ok {
			t.Errorf("%v and %v are both tagged %s", v, other, v.Tag())
		}
		seen[v.Tag()] = v
	}
	for _, spec := range []string{"vllm=0.17.0+cu129,otel=full", "otel=half"} {
		v, err := parseVariants(spec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := name.NewTag("registry.test/sim:" + v[0].Tag()); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func startRegistry(t *testing.T) string {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func pull(t *testing.T, ref string, options ...remote.Option) v1.Image {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(tag, options...)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Fatal(err)
	}
	return img
}

// contents are the modes of what is not a folder, by absolute path.
func contents(t *testing.T, img v1.Image) map[string]int64 {
	t.Helper()
	modes := map[string]int64{}
	walk(t, img, func(h *tar.Header, _ io.Reader) {
		if h.Typeflag != tar.TypeDir {
			modes["/"+h.Name] = h.Mode
		}
		if h.ModTime.Unix() != 0 || h.Uid != 0 {
			t.Errorf("%s is of %v and user %d", h.Name, h.ModTime, h.Uid)
		}
	})
	return modes
}

func walk(t *testing.T, img v1.Image, visit func(*tar.Header, io.Reader)) {
	t.Helper()
	flat := mutate.Extract(img)
	defer flat.Close()
	for files := tar.NewReader(flat); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		visit(header, files)
	}
}

// unpack puts the files of an image under root.
func unpack(t *testing.T, img v1.Image, root string) {
	t.Helper()
	walk(t, img, func(h *tar.Header, content io.Reader) {
		path := filepath.Join(root, h.Name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case h.Typeflag == tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case h.Typeflag == tar.TypeSymlink:
			err = os.Symlink(h.Linkname, path)
		default:
			var file *os.File
			if file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, os.FileMode(h.Mode)); err == nil {
				_, err = io.Copy(file, content)
				err = errors.Join(err, file.Close())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}
