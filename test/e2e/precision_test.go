// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
	"github.com/coldtrace/coldtrace/trace"
)

// precision is how far an edge that comes from an event may be from what the node's own logs say.
const precision = 20 * time.Millisecond

// nodeLog reads the times of one component's log lines.
type nodeLog struct {
	text string
	// at finds the time in a line.
	at func(line string) (time.Time, error)
}

func readLog(t *testing.T, component string, at func(string) (time.Time, error)) nodeLog {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(on.Run(), "log", component+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return nodeLog{string(text), at}
}

// time is that of the last line which has all the words.
func (l nodeLog) time(t *testing.T, words ...string) time.Time {
	t.Helper()
	found := ""
lines:
	for line := range strings.Lines(l.text) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		found = line
	}
	if found == "" {
		t.Fatalf("no log line has %q", words)
	}
	at, err := l.at(found)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

var containerdTime = regexp.MustCompile(`^time="([^"]+)"`)

func containerdAt(line string) (time.Time, error) {
	m := containerdTime.FindStringSubmatch(line)
	if m == nil {
		return time.Time{}, fmt.Errorf("no time in %q", line)
	}
	return time.Parse(time.RFC3339Nano, m[1]) //nolint:wrapcheck // it names the text
}

// kubeletAt reads a line of klog: Immdd hh:mm:ss.micros, in the node's time zone, which is UTC.
func kubeletAt(line string) (time.Time, error) {
	if len(line) < 21 {
		return time.Time{}, fmt.Errorf("no time in %q", line)
	}
	return time.Parse("2006 0102 15:04:05.000000", strconv.Itoa(time.Now().UTC().Year())+" "+line[1:21]) //nolint:wrapcheck // it names the text
}

func TestEdgesFromEventsAreThoseOfTheNodesOwnLogs(t *testing.T) {
	off := edgesOff(t, "precision")
	maps.DeleteFunc(off, func(_ string, d time.Duration) bool { return d.Abs() <= precision })
	if len(off) == 0 {
		return
	}
	// What a busy node held up once it does not hold up again, what is told wrongly is wrong again.
	again := edgesOff(t, "precision-again")
	for what, d := range off {
		if again[what].Abs() > precision {
			t.Errorf("%s is %s and %s off, more than %s", what, d, again[what], precision)
		}
	}
}

// edgesOff starts a pod, and returns how far its edges are from what the node's logs say.
func edgesOff(t *testing.T, name string) map[string]time.Duration {
	t.Helper()
	pod := begin(t, labelled, name, func(_ *corev1.Pod, main *corev1.Container) { main.ImagePullPolicy = corev1.PullAlways })
	pod = await(t, pod, stage.Ready)
	uid := string(pod.UID)
	got := awaitTrace(t, uid, startup.SpanPodStartup, startup.SpanImagePull, startup.SpanContainerCreating)
	spans := map[string]*trace.Node{}
	got.Walk(func(n *trace.Node) { spans[n.ID] = n })
	span := func(key string) *trace.Node {
		n := spans[startup.MD5.SpanID(uid, key).String()]
		if n == nil {
			t.Fatalf("no span %s", key)
		}
		return n
	}
	var image, container string
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == target {
			container = strings.TrimPrefix(s.ContainerID, "containerd://")
		}
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == target {
			image = c.Image
		}
	}
	containerd := readLog(t, "containerd", containerdAt)
	kubelet := func(reason string) time.Time {
		return readLog(t, "kubelet", kubeletAt).time(t, `"Event occurred"`, "/"+pod.Name+`"`, "spec.containers{"+target+"}", `reason="`+reason+`"`)
	}
	pull, creating, sandbox := span("image_pull:"+target), span("container_creating:"+target), span(startup.SpanSandboxCreating)
	began := fmt.Sprintf(`PullImage \"%s\"`, image)
	off := map[string]time.Duration{}
	for _, edge := range []struct {
		what      string
		got, want time.Time
	}{
		{"the sandbox, by containerd", sandbox.End, containerd.time(t, "RunPodSandbox", uid, "returns sandbox id")},
		{"the pull's begin, by containerd", pull.Start, containerd.time(t, began+`"`)},
		{"the pull's end, by containerd", pull.End, containerd.time(t, began+" returns image reference")},
		{"the pull's begin, by the kubelet", pull.Start, kubelet("Pulling")},
		{"the pull's end, by the kubelet", pull.End, kubelet("Pulled")},
		{"the container's start, by the kubelet", creating.End, kubelet("Started")},
		{"the container's start, by containerd", creating.End, containerd.time(t, "StartContainer", container, "returns successfully")},
	} {
		off[edge.what] = edge.got.Sub(edge.want)
		t.Logf("%s: %s off", edge.what, off[edge.what])
	}
	for _, s := range []*trace.Node{pull, creating} {
		if source := s.Get(startup.AttrTimeSource); source != string(startup.TimeEventName) {
			t.Errorf("%s has its times from %s", s.Name, source)
		}
	}
	return off
}
