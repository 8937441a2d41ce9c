// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestS5cmdDownloadsAModelByPatternAndGetsEveryByte(t *testing.T) {
	config, err := parse([]string{"-size", "300"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(NewHandler(config))
	defer server.Close()
	folder := filepath.Join(t.TempDir(), "model_files")

	started := time.Now()
	if out, err := s5cmd(t, server.URL, "s3://models/llama-3-1-8b-instruct/*", folder).CombinedOutput(); err != nil {
		t.Fatalf("s5cmd: %v\n%s", err, out)
	}
	took := time.Since(started)

	for _, o := range NewModel(config.Model, config.Size, config.Shards) {
		name := filepath.Base(o.Key)
		wanted := strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".safetensors")
		got := fileSum(t, filepath.Join(folder, name))
		switch {
		case !wanted && got != nil:
			t.Errorf("%s was downloaded although no pattern names it", name)
		case wanted && !bytes.Equal(got, sum(t, io.NewSectionReader(o, 0, o.Size))):
			t.Errorf("%s differs from what the bucket holds", name)
		}
	}
	t.Logf("%d MB in %v: %.0f MB/s", config.Size/megabyte, took.Round(time.Millisecond), float64(config.Size)/1e6/took.Seconds())
}

func TestADownloadTakesAsLongAsTheBandwidthSays(t *testing.T) {
	config, err := parse([]string{"-size", "20", "-rate", "20"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(NewHandler(config))
	defer server.Close()

	started := time.Now()
	if out, err := s5cmd(t, server.URL, "s3://models/llama-3-1-8b-instruct/*", t.TempDir()+"/").CombinedOutput(); err != nil {
		t.Fatalf("s5cmd: %v\n%s", err, out)
	}
	// The limiter starts with one chunk in hand and never gives more than the rate.
	if took := time.Since(started); took < 990*time.Millisecond {
		t.Errorf("20 MB at 20 MB/s took %v", took)
	}
}

func TestS5cmdFailsAsItDoesWithS3(t *testing.T) {
	server := httptest.NewServer(NewHandler(Config{Bucket: "models", Model: "m", Size: megabyte, Shards: 1}))
	defer server.Close()
	for name, source := range map[string]string{
		"a bucket that does not exist": "s3://other/m/*",
		"a model that does not exist":  "s3://models/other/*",
	} {
		t.Run(name, func(t *testing.T) {
			out, err := s5cmd(t, server.URL, source, t.TempDir()+"/").CombinedOutput()
			if err == nil {
				t.Errorf("s5cmd succeeded: %s", out)
			}
		})
	}
}

func TestShardsAreSafetensorsAndDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, o := range NewModel("m", 6*megabyte, 3) {
		if !strings.HasSuffix(o.Key, ".safetensors") {
			continue
		}
		all := make([]byte, o.Size)
		if _, err := o.ReadAt(all, 0); err != nil {
			t.Fatal(err)
		}
		length := binary.LittleEndian.Uint64(all)
		var header map[string]struct {
			Offsets [2]int64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(all[8:8+length], &header); err != nil {
			t.Fatal(err)
		}
		for tensor, at := range header {
			if end := 8 + int64(length) + at.Offsets[1]; end != o.Size {
				t.Errorf("%s: tensor %s ends at %d of %d", o.Key, tensor, end, o.Size)
			}
		}
		data := string(sum(t, bytes.NewReader(all[8+length:])))
		if other := seen[data]; other != "" {
			t.Errorf("%s has the same content as %s", o.Key, other)
		}
		seen[data] = o.Key
		if err := iotest.TestReader(io.NewSectionReader(o, 0, o.Size), all); err != nil {
			t.Errorf("%s read in parts: %v", o.Key, err)
		}
	}
}

func TestAListingComesInPages(t *testing.T) {
	server := httptest.NewServer(NewHandler(Config{Bucket: "models", Model: "m", Size: 6 * megabyte, Shards: 6}))
	defer server.Close()
	var keys []string
	for marker := ""; ; {
		resp, err := http.Get(server.URL + "/models?max-keys=5&marker=" + marker)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(body), "<Key>")[1:]
		for _, part := range parts {
			marker, _, _ = strings.Cut(part, "</Key>")
			keys = append(keys, marker)
		}
		if !strings.Contains(string(body), "<IsTruncated>true</IsTruncated>") {
			break
		}
	}
	if len(keys) != 12 || !slices.IsSorted(keys) || len(slices.Compact(keys)) != 12 {
		t.Errorf("got %d keys, want the 12 objects once each and in order: %q", len(keys), keys)
	}
}

// s5cmd is the real one, run as model-engine runs it.
func s5cmd(t *testing.T, endpoint, source, target string) *exec.Cmd {
	t.Helper()
	path, err := exec.Command("go", "tool", "-n", "s5cmd").Output()
	if err != nil {
		t.Fatalf("build s5cmd: %v", err)
	}
	cmd := exec.Command(strings.TrimSpace(string(path)), "--endpoint-url", endpoint, "--numworkers", "512", "cp", "--concurrency", "10",
		"--include", "*.json", "--include", "*.safetensors", source, target)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=us-west-2")
	return cmd
}

func fileSum(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return sum(t, f)
}

func sum(t *testing.T, r io.Reader) []byte {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return h.Sum(nil)
}
