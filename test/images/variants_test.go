// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/assets"
	"github.com/coldtrace/coldtrace/test/freeport"
)

// script runs in the image: the wrapper and a server as the webhook leaves them, stopped once the server is healthy.
const script = `
/coldtrace-wrapper run -- "$@" >/tmp/log 2>&1 &
until wget -q -O /dev/null "http://127.0.0.1:$PORT/health" 2>/dev/null; do
  kill -0 $! 2>/dev/null || { wait $!; echo "died with $?"; tail -n 5 /tmp/log; exit; }
  usleep 20000
done
for p in /proc/[0-9]*; do
  case "$(tr '\0' ' ' <$p/cmdline)" in python*" --otlp-traces-endpoint="*) echo "with the flag"; break;; esac
done
kill -TERM $!; wait $!; echo "stopped with $?"
`

func TestTheServerStartsUnderTheWrapperWhateverItsImageLacks(t *testing.T) {
	if _, err := exec.LookPath("unshare"); err != nil || os.Geteuid() != 0 {
		assets.Lacks(t, "needs root and util-linux")
	}
	all, err := parseVariants("all")
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, Variant{OTel: "none"}, Variant{OTel: "full"})
	root := engineRoot(t)
	for i, v := range all {
		install(t, root, v)
		t.Run(v.Tag(), func(t *testing.T) {
			port := freeport.Of(t)
			command := []string{"python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "model_files", "--port", port}
			if (i+i/4)%2 == 0 { // in turns, over versions and packages
				command = []string{"/bin/bash", "-c", "set -euo pipefail;" + startup.VLLMExecPlaceholder + " python -m vllm_server" +
					" --model model_files --served-model-name m model_files --port " + port + ` --host "::"`}
			}
			out := inside(t, root, port, command)
			if !strings.Contains(out, "stopped with 0") {
				t.Fatalf("the server did not start, or not stop: %s", out)
			}
			// Whether one exporter of two is enough depends on the version; that the server started is enough here.
			given, want := strings.Contains(out, "with the flag"), v.OTel == "full" && flagIsHarmless(v.VLLM)
			if given != want && v.OTel != "grpc" {
				t.Errorf("the flag was given: %t, want %t", given, want)
			}
		})
	}
}

// flagIsHarmless restates facts about vLLM's releases: it knows the flag since 0.5.1, and from 0.8.0 until 0.10.2 goes
// back to its old engine for it.
func flagIsHarmless(version string) bool {
	if version == "" {
		return false
	}
	number := 0
	for i, part := range strings.Split(version+".0.0", ".")[:3] {
		n, err := strconv.Atoi(part)
		if err != nil {
			return false
		}
		number += n * []int{1e6, 1e3, 1}[i]
	}
	return number >= 5_001 && number < 8_000 || number >= 10_002
}

// engineRoot is a file system with the wrapper and all of sim but its Python packages.
func engineRoot(t *testing.T) string {
	t.Helper()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	shop := &workshop{checkout: checkout, version: "test", built: map[string]string{}, engine: map[string][]v1.Layer{}}
	release, err := shop.open()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	root := t.TempDir()
	for _, describe := range []func() (plan, error){
		func() (plan, error) { return simImage(t.Context(), shop, runtime.GOARCH, Variant{OTel: "none"}) },
		func() (plan, error) { return wrapperImage(t.Context(), shop, runtime.GOARCH) },
	} {
		p, err := describe()
		if err != nil {
			t.Fatal(err)
		}
		unpackPlan(t, p, root)
	}
	for _, dir := range []string{"proc", "dev", "workspace/model_files"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const null = 1<<8 | 3 // major and minor number
	if err := syscall.Mknod(filepath.Join(root, "dev/null"), syscall.S_IFCHR|0o666, null); err != nil {
		t.Fatal(err)
	}
	return root
}

// install replaces the Python packages.
func install(t *testing.T, root string, v Variant) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(root, sitePackages)); err != nil {
		t.Fatal(err)
	}
	p, err := draw(v1.Config{}, v.Tree())
	if err != nil {
		t.Fatal(err)
	}
	unpackPlan(t, p, root)
}

func unpackPlan(t *testing.T, p plan, root string) {
	t.Helper()
	img, err := assemble(p, "image", "test", runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	unpack(t, img, root)
}

// inside runs the command under the wrapper, in namespaces that end with it.
func inside(t *testing.T, root, port string, command []string) string {
	t.Helper()
	args := append([]string{
		"--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--root=" + root, "--wd=/workspace",
		"/bin/bash", "-c", script, "start",
	}, command...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", args...)
	cmd.Env = []string{
		paths, "PORT=" + port, "SIM_SPEED=1000", startup.EnvPodUID + "=0b6f5f6e-2f0e-4a55-9d0f-6a4f3f1d2c11",
		startup.EnvOTLPEndpoint + "=http://127.0.0.1:1", startup.EnvVLLMFlag + "=auto",
		startup.EnvFlushTimeout + "=100ms", // nobody collects here
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("unshare: %v\n%s", err, out)
	}
	return string(out)
}
