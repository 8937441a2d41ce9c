// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// toolbox is a folder with programs that have the names of what model servers download with. Each moves 3 MB, takes long
// enough to be seen, says Ray's word if it is Ray, and exits with TOOL_EXIT.
func toolbox(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const body = `
case "$(basename "$0") $1" in
"ray start") echo "Ray runtime started." ;;
"init_ray.sh leader") ray start --head --port=6379; sleep 0.2 ;;
"init_ray.sh worker") ray start --address=leader:6379 --block ;;
esac
head -c 3000000 /dev/zero > "$(dirname "$0")/model"
sleep ${TOOL_SECONDS:-0.3}
exit ${TOOL_EXIT:-0}
`
	for _, name := range []string{"s5cmd", "azcopy", "gcloud", "gcloud.py", "gsutil", "aws", "hf", "huggingface-cli", "rclone", "curl", "wget", "ray", "init_ray.sh"} {
		interpreter := "#!/bin/sh"
		if name == "init_ray.sh" {
			interpreter = "#!/bin/bash"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(interpreter+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tell runs a script behind the wrapper to its end and returns the spans by name. The wrapper has ended: everything
// must have been sent.
func tell(t *testing.T, dir, script string, code int, env ...string) map[string]otlptest.Span {
	t.Helper()
	r := otlptest.New(t)
	cmd := exec.Command(wrapper, "run", "--", "bash", "-c", script)
	cmd.Env, cmd.Dir = traced(dir, "http://"+r.GRPC, env...), dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err := cmd.Run()
	if got := status(cmd.ProcessState); got != code {
		t.Errorf("exit %d, %v, want %d", got, err, code)
	}
	spans := map[string]otlptest.Span{}
	for _, s := range r.Spans() {
		spans[s.Name] = s
	}
	return spans
}

func TestEveryToolThatDownloadsIsTold(t *testing.T) {
	dir := toolbox(t)
	for command, want := range map[string][2]string{
		"s5cmd --numworkers 512 cp 's3://b/m/*' model":                     {startup.SpanS5cmdDownload, "s5cmd"},
		"./s5cmd sync 's3://b/m/*' model":                                  {startup.SpanS5cmdDownload, "s5cmd"},
		"$PWD/s5cmd cp s3://b/m model":                                     {startup.SpanS5cmdDownload, "s5cmd"},
		"sh -c \"sh -c './s5cmd cp s3://b/m model; exit'; exit\"":          {startup.SpanS5cmdDownload, "s5cmd"},
		"azcopy copy --recursive https://a.blob.core.windows.net/c model":  {startup.SpanAzcopyDownload, "azcopy"},
		"gcloud storage cp -r gs://b/m model":                              {startup.SpanGcloudDownload, "gcloud"},
		"sh ./gcloud.py storage rsync -r gs://b/m model":                   {startup.SpanGcloudDownload, "gcloud"},
		"gsutil -m rsync -r gs://b/m model":                                {startup.SpanGcloudDownload, "gsutil"},
		"aws s3 sync s3://b/m model":                                       {startup.SpanAWSDownload, "aws"},
		"hf download org/model --local-dir model":                          {startup.SpanHFDownload, "huggingface-cli"},
		"huggingface-cli download org/model":                               {startup.SpanHFDownload, "huggingface-cli"},
		"rclone copy remote:b model":                                       {startup.SpanRcloneDownload, "rclone"},
		"curl -sSL https://dl.example.com/sdk.tar.gz -o sdk":               {startup.SpanCurlDownload, "curl"},
		"wget -q https://dl.example.com/sdk.tar.gz":                        {startup.SpanWgetDownload, "wget"},
		"curl -sSL https://dl.example.com/sdk.tar.gz | cat > unpacked":     {startup.SpanCurlDownload, "curl"},
		"trap 'true' TERM; aws s3 cp --recursive s3://b/m model & wait $!": {startup.SpanAWSDownload, "aws"},
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			for _, code := range []int{0, 4} {
				env := []string{"COLDTRACE_ROLE=batch", "TOOL_SECONDS=1"}
				if strings.HasPrefix(command, "curl") || strings.HasPrefix(command, "wget") {
					env[1] = "TOOL_SECONDS=1.1" // what is quick and small is not told
				}
				if code != 0 {
					env = append(env, "TOOL_EXIT=4")
				}
				spans := tell(t, dir, "set -e -o pipefail; "+command+"; exit 0", code, env...)
				s, ok := spans[want[0]]
				if !ok || (s.Error != "") != (code != 0) || s.Attributes["tool"] != want[1] {
					t.Errorf("exit %d: %+v in %+v", code, s, spans)
					continue
				}
				if code != 0 && s.Error != "download_failed" {
					t.Errorf("failed with %q", s.Error)
				}
				if took := s.End.Sub(s.Start); took < 250*time.Millisecond {
					t.Errorf("took %v", took)
				}
				if n, _ := s.Attributes["bytes"].(int64); want[0] != startup.SpanCurlDownload && want[0] != startup.SpanWgetDownload && n < 3_000_000 {
					t.Errorf("%d bytes", n)
				}
				if total := spans[startup.SpanStartup]; (total.Error != "") != (code != 0) {
					t.Errorf("startup: %+v", total)
				}
			}
		})
	}
}

func TestWhatIsNoDownloadIsNotTold(t *testing.T) {
	dir := toolbox(t)
	spans := tell(t, dir, "s5cmd; s5cmd ls s3://b; aws sts get-caller-identity; gcloud auth list; hf auth whoami; curl -s http://localhost:1/health",
		0, "COLDTRACE_ROLE=batch", "TOOL_SECONDS=0.1")
	if _, ok := spans[startup.SpanStartup]; !ok || len(spans) != 1 {
		t.Errorf("%+v", spans)
	}
}

func TestRayIsTold(t *testing.T) {
	dir := toolbox(t)
	for name, c := range map[string]struct {
		script string
		role   string
		code   int
		env    string
		fails  string
	}{
		"a head":                {"ray start --head --port=6379; exit 0", "batch", 0, "", ""},
		"the leader's script":   {"./init_ray.sh leader --ray_cluster_size=2; exit 0", "batch", 0, "", ""},
		"a worker that joins":   {"./init_ray.sh worker --ray_address=leader; exit 0", "worker", 0, "", ""},
		"a worker of `ray`":     {"ray start --address=leader:6379 --block; exit 0", "worker", 0, "", ""},
		"a leader that gave up": {"set -e; bash ./init_ray.sh leader --ray_cluster_size=2; exit 0", "batch", 5, "TOOL_EXIT=5", "ray_incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			spans := tell(t, dir, c.script, c.code, "COLDTRACE_ROLE="+c.role, c.env)
			s, ok := spans[startup.SpanRayClusterInit]
			if !ok || s.Error != c.fails {
				t.Errorf("%+v in %+v", s, spans)
			}
			total, ok := spans[startup.SpanStartup]
			if !ok || (total.Error != "") != (c.fails != "") {
				t.Errorf("startup: %+v", total)
			}
			if c.role == "worker" && !total.End.Equal(s.End) {
				t.Errorf("the worker was ready %v after it had joined", total.End.Sub(s.End))
			}
		})
	}
}

func TestWhatCurlFetchesIsCountedWhereverItGoes(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	const size = 12 << 20
	where, err := url.Parse(web(t, func(w http.ResponseWriter, _ *http.Request) {
		pace := time.NewTicker(150 * time.Millisecond) // the last look lies up to 50 ms before the end
		defer pace.Stop()
		for range 12 {
			<-pace.C
			_, _ = w.Write(make([]byte, size/12))
			_ = http.NewResponseController(w).Flush()
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"-o model", "| cat > model", "> /dev/null"} {
		t.Run(to, func(t *testing.T) {
			command := fmt.Sprintf("curl -sS --resolve dl.example.com:%s:127.0.0.1 http://dl.example.com:%s/m %s; exit 0", where.Port(), where.Port(), to)
			s := tell(t, t.TempDir(), command, 0, "COLDTRACE_ROLE=batch")[startup.SpanCurlDownload]
			n, _ := s.Attributes["bytes"].(int64)
			if rate, _ := s.Attributes["throughput_mbps"].(float64); n < size*8/10 || n > size+1<<20 || rate <= 0 {
				t.Errorf("%d bytes of %d, at %v MB/s: %+v", n, size, rate, s)
			}
		})
	}
}
