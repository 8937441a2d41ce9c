// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/freeport"
)

const source = "../collector"

// collector is a running one, by its addresses.
type collector struct{ otlp, prometheus string }

var build = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(os.TempDir(), "coldtrace-test-collector", "collector")
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New("build the collector: " + err.Error() + "\n" + string(out))
	}
	return binary, nil
})

// start runs a collector until the test is over.
func start(t *testing.T) collector {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	free := [4]string{freeport.Of(t), freeport.Of(t), freeport.Of(t), freeport.Of(t)}
	cmd := exec.Command(binary, "--config", filepath.Join(source, "config.yaml")) //nolint:gosec // built above
	cmd.Env = append(os.Environ(), "COLLECTOR_FILE="+filepath.Join(t.TempDir(), "otlp.jsonl"),
		"COLLECTOR_GRPC_PORT="+free[0], "COLLECTOR_HTTP_PORT="+free[1], "COLLECTOR_HEALTH_PORT="+free[2], "COLLECTOR_PROMETHEUS_PORT="+free[3])
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	until(t, "the collector is healthy", func() bool {
		resp, err := http.Get("http://127.0.0.1:" + free[2])
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return collector{otlp: "http://127.0.0.1:" + free[1], prometheus: "http://127.0.0.1:" + free[3] + "/metrics"}
}

// measured is the request that coldtrace's exporter makes of a span.
func measured(t *testing.T, subject startup.Subject, span startup.Span) (q request) {
	t.Helper()
	q = &colmetricspb.ExportMetricsServiceRequest{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, q)
		}
		if err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	e, err := otlp.NewExporter(t.Context(), otlp.ExporterConfig{Endpoint: s.URL, Protocol: startup.ProtocolHTTP, Service: startup.ServiceWrapper})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.ExportMeasurements(t.Context(), startup.Measurements(subject, span)), e.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	return q
}

// send is what an exporter does, now or later.
func (c collector) send(t *testing.T, q request) {
	t.Helper()
	body, err := proto.Marshal(q)
	if err != nil {
		t.Error(err)
		return
	}
	resp, err := http.Post(c.otlp+"/v1/metrics", "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the collector answers %s", resp.Status)
	}
}

// settle waits until all that was sent before is served: a start that is sent last comes out last.
func (c collector) settle(t *testing.T) {
	t.Helper()
	subject, span := pod("last of all "+time.Now().String(), 1)
	c.send(t, measured(t, subject, span))
	until(t, "the last start is served", func() bool {
		count, _ := c.total(t, subject.EndpointName)
		return count == 1
	})
}

// counts checks how many starts of an endpoint there were, and how long they took together.
func (c collector) counts(t *testing.T, endpoint string, starts int, seconds float64) {
	t.Helper()
	if count, sum := c.total(t, endpoint); count != uint64(starts) || sum < seconds-0.001 || sum > seconds+0.001 { //nolint:gosec // small
		t.Errorf("%d starts of %v s, want %d of %v s", count, sum, starts, seconds)
	}
}

// total adds up startup.total of an endpoint.
func (c collector) total(t *testing.T, endpoint string) (count uint64, seconds float64) {
	for _, h := range c.histograms(t, "startup_total_duration_seconds", endpoint) {
		count += h.GetSampleCount()
		seconds += h.GetSampleSum()
	}
	return count, seconds
}

type exemplar struct {
	trace, span string
	value       float64
}

func (c collector) exemplars(t *testing.T, metric, endpoint string) (out []exemplar) {
	for _, h := range c.histograms(t, metric, endpoint) {
		for _, e := range h.GetExemplars() {
			got := exemplar{value: e.GetValue()}
			for _, l := range e.GetLabel() {
				switch l.GetName() {
				case "trace_id":
					got.trace = l.GetValue()
				case "span_id":
					got.span = l.GetValue()
				default:
					t.Errorf("an exemplar has the label %s", l.GetName())
				}
			}
			out = append(out, got)
		}
	}
	return out
}

// histograms scrapes as Prometheus does: native histograms and their exemplars come by protobuf alone.
func (c collector) histograms(t *testing.T, metric, endpoint string) (out []*dto.Histogram) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.prometheus, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	decoder := expfmt.NewDecoder(resp.Body, expfmt.ResponseFormat(resp.Header))
	for {
		var family dto.MetricFamily
		err := decoder.Decode(&family)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if family.GetName() == metric && l.GetName() == startup.AttrEndpointName && l.GetValue() == endpoint {
					out = append(out, m.GetHistogram())
				}
			}
		}
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited a minute until %s", what)
		case <-tick.C:
		}
	}
}
