// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// plan is an image as it is to be made: its layers from below, and its configuration.
type plan struct {
	layers []v1.Layer
	config v1.Config
}

func draw(config v1.Config, trees ...Tree) (plan, error) {
	layers, err := pack(trees...)
	return plan{layers: layers, config: config}, err
}

// images is every image there is.
var images = map[string]func(ctx context.Context, s *workshop, arch string) (plan, error){
	"coldtrace":         coldtraceImage,
	"coldtrace-wrapper": wrapperImage,
	"sim": func(ctx context.Context, s *workshop, arch string) (plan, error) {
		return simImage(ctx, s, arch, defaultVariant)
	},
	"forwarder": forwarderImage,
}

// around are images of what the cluster of the checkout runs without one; they are made where they are asked for.
var around = map[string]func(ctx context.Context, s *workshop, arch string) (plan, error){
	"receiver": func(ctx context.Context, s *workshop, arch string) (plan, error) {
		return aroundImage(ctx, s, arch, "receiver")
	},
	"s3": func(ctx context.Context, s *workshop, arch string) (plan, error) {
		return aroundImage(ctx, s, arch, "s3")
	},
}

// recipeOf is how an image is made; nil: there is none of that name.
func recipeOf(name string) func(ctx context.Context, s *workshop, arch string) (plan, error) {
	if recipe := images[name]; recipe != nil {
		return recipe
	}
	return around[name]
}

func imageNames() []string { return slices.Sorted(maps.Keys(images)) }

const (
	nonroot = "65532:65532"
	paths   = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	passwd  = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\nnonroot:x:65532:65532:nonroot:/:/bin/false\n"
	group   = "root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n"
	roots   = "/etc/ssl/certs/ca-certificates.crt"
)

// coldtraceImage is what the Dockerfile's target of that name makes.
func coldtraceImage(ctx context.Context, s *workshop, arch string) (plan, error) {
	binary, err := s.binary(ctx, "coldtrace", arch)
	if err != nil {
		return plan{}, err
	}
	base := Tree{}
	base.Text("etc/passwd", passwd)
	base.Text("etc/group", group)
	// For looking into registries; a machine that has no roots gives none.
	if _, err := os.Stat(roots); err == nil {
		base[roots[1:]] = entry{mode: 0o644, source: roots}
	}
	program := Tree{}
	program.Add("coldtrace", binary)
	return draw(v1.Config{Entrypoint: []string{"/coldtrace"}, User: nonroot, WorkingDir: "/", Env: []string{paths}}, base, program)
}

// wrapperImage holds two files: mounted as an image volume at /coldtrace, or run as an init container that copies both.
func wrapperImage(ctx context.Context, s *workshop, arch string) (plan, error) {
	programs := Tree{}
	for _, name := range []string{"coldtrace-wrapper", "coldtrace-observer"} {
		binary, err := s.binary(ctx, name, arch)
		if err != nil {
			return plan{}, err
		}
		programs.Add(name, binary)
	}
	return draw(v1.Config{Entrypoint: []string{"/coldtrace-wrapper"}, User: nonroot, WorkingDir: "/"}, programs)
}

// simImage is a vLLM image without a model, a GPU or Python: laid out as vLLM's own images are, with s5cmd where
// model-engine's have it.
func simImage(ctx context.Context, s *workshop, arch string, variant Variant) (plan, error) {
	layers, ok := s.engine[arch]
	if !ok {
		var err error
		if layers, err = engineLayers(ctx, s, arch); err != nil {
			return plan{}, err
		}
		s.engine[arch] = layers
	}
	packages, err := pack(variant.Tree())
	return plan{layers: slices.Concat(layers, packages), config: v1.Config{
		Entrypoint: []string{"vllm", "serve"}, WorkingDir: "/workspace", Env: []string{paths, "HOME=/root"},
	}}, err
}

// engineLayers are what all variants of sim have in common.
func engineLayers(ctx context.Context, s *workshop, arch string) ([]v1.Layer, error) {
	base, err := shell(ctx, arch)
	if err != nil {
		return nil, err
	}
	s5cmd, err := s.binary(ctx, "s5cmd", arch)
	if err != nil {
		return nil, err
	}
	download := Tree{}
	download.Add("workspace/s5cmd", s5cmd)
	python, err := pythonLayer(ctx, s, arch)
	if err != nil {
		return nil, err
	}
	// pip installs a script; its first line is how one finds the interpreter that will run vLLM.
	python["usr/local/bin/vllm"] = entry{mode: 0o755, text: "#!/usr/bin/python3\nfrom vllm.entrypoints.cli.main import main\nmain()\n"}
	python.Link("usr/local/bin/text-generation-launcher", "/usr/bin/python3.12")
	return pack(base, download, python)
}

// forwarderImage is model-engine's own image as far as its http-forwarder sidecar goes.
func forwarderImage(ctx context.Context, s *workshop, arch string) (plan, error) {
	base := Tree{}
	base.Text("etc/passwd", passwd)
	base.Text("etc/group", group)
	base.Folder("tmp", 0o1777)
	base.Folder("workspace", 0o755)
	python, err := pythonLayer(ctx, s, arch)
	if err != nil {
		return plan{}, err
	}
	return draw(v1.Config{WorkingDir: "/workspace", Env: []string{paths, "HOME=/root"}}, base, python)
}

// pythonLayer puts the simulator where Python is, and launchers beside it.
func pythonLayer(ctx context.Context, s *workshop, arch string) (Tree, error) {
	sim, err := s.binary(ctx, "sim", arch)
	if err != nil {
		return nil, err
	}
	t := Tree{}
	t.Add("usr/bin/python3.12", sim)
	t.Link("usr/bin/python3", "python3.12")
	t.Link("usr/bin/python", "python3")
	t.Link("usr/bin/sim", "python3.12")
	t.Link("usr/bin/dumb-init", "python3.12")
	t.Link("usr/local/bin/ddtrace-run", "/usr/bin/python3.12")
	return t, nil
}

// shell is a small Linux: bash, and busybox under the names of what it replaces.
func shell(ctx context.Context, arch string) (Tree, error) {
	if arch != runtime.GOARCH {
		return nil, fmt.Errorf("make a shell for %s: bash and busybox come from this machine, which is %s", arch, runtime.GOARCH)
	}
	bash, bashErr := fromDebian("bash-static", "/usr/bin/bash-static", "/bin/bash-static")
	busybox, busyboxErr := fromDebian("busybox-static", "/usr/bin/busybox", "/bin/busybox")
	if err := errors.Join(bashErr, busyboxErr); err != nil {
		return nil, err
	}
	names, err := applets(ctx, busybox)
	if err != nil {
		return nil, err
	}
	t := Tree{}
	for _, name := range names {
		if path.Base(name) != "busybox" {
			t.Link(name, "/bin/busybox")
		}
	}
	t.Add("bin/busybox", busybox)
	t.Add("bin/bash", bash)
	t.Link("bin/sh", "bash")
	t.Link("usr/bin/bash", "/bin/bash")
	// model-engine's commands say --decode, which busybox does not know.
	t["usr/bin/base64"] = entry{mode: 0o755, text: "#!/bin/bash\nexec /bin/busybox base64 \"${@/#--decode/-d}\"\n"}
	t.Folder("tmp", 0o1777)
	t.Folder("root", 0o700)
	t.Folder("workspace", 0o755)
	t.Text("etc/passwd", passwd)
	t.Text("etc/group", group)
	return t, nil
}

// aroundImage runs as root: the log that a container's runtime gives it is root's, and the receiver opens it by name.
func aroundImage(ctx context.Context, s *workshop, arch, name string) (plan, error) {
	binary, err := s.binary(ctx, name, arch)
	if err != nil {
		return plan{}, err
	}
	files := Tree{}
	files.Add(name, binary)
	return draw(v1.Config{Entrypoint: []string{"/" + name}, WorkingDir: "/", Env: []string{paths}}, files)
}
