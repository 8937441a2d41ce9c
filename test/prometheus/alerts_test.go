// SPDX-License-Identifier: Apache-2.0

// Package prometheus_test evaluates the chart's alerts as Prometheus would.
package prometheus_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"go.yaml.in/yaml/v2"
)

type alert struct {
	Alert, Expr string
	For         model.Duration
}

// alerts are the chart's.
func alerts(t *testing.T) map[string]alert {
	t.Helper()
	helm := "../../.cluster/bin/helm"
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		helm = filepath.Join(assets, "helm")
	}
	if _, err := os.Stat(helm); err != nil {
		const missing = "there is no Helm: run `make cluster-assets`, which builds it"
		if os.Getenv("CI") != "" { // nothing is green there for lack of something
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), helm, "template", "coldtrace", "../../charts/coldtrace",
		"--set", "prometheusRule.enabled=true", "--set", "prometheusRule.startupSeconds=600", "--show-only", "templates/prometheusrule.yaml")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("helm template: %v: %s", err, errs.String())
	}
	var rule struct {
		Spec struct{ Groups []struct{ Rules []alert } }
	}
	if err := yaml.Unmarshal(out.Bytes(), &rule); err != nil {
		t.Fatal(err)
	}
	all := map[string]alert{}
	for _, group := range rule.Spec.Groups {
		for _, a := range group.Rules {
			all[a.Alert] = a
		}
	}
	return all
}

// fires tells whether an alert does at a time: its expression has held for as long as it says.
func fires(t *testing.T, series storage.Storage, a alert, at time.Time) bool {
	t.Helper()
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	for moment := at.Add(-time.Duration(a.For)); !moment.After(at); moment = moment.Add(time.Minute) {
		query, err := engine.NewInstantQuery(t.Context(), series, nil, a.Expr, moment)
		if err != nil {
			t.Fatalf("%s: %v", a.Alert, err)
		}
		result := query.Exec(t.Context())
		if result.Err != nil {
			t.Fatalf("%s: %v", a.Alert, result.Err)
		}
		vector, ok := result.Value.(promql.Vector)
		if !ok {
			t.Fatalf("%s is no vector but %s", a.Alert, result.Value.Type())
		}
		holds := len(vector) > 0
		query.Close()
		if !holds {
			return false
		}
	}
	return true
}

// starts are those of an endpoint as a classic histogram: so many a step within 300 s, within 1200 s and in all.
func starts(labels, quick, slow, all string) string {
	const name = `  coldtrace_watch_phase_duration_seconds`
	return name + `_bucket{phase="pod_startup",` + labels + `,le="300"} ` + quick + "\n" +
		name + `_bucket{phase="pod_startup",` + labels + `,le="1200"} ` + slow + "\n" +
		name + `_bucket{phase="pod_startup",` + labels + `,le="+Inf"} ` + all + "\n" +
		name + `_count{phase="pod_startup",` + labels + `} ` + all
}

// native are starts of 512 to 1024 s (index 10 of schema 0) or of 128 to 256 s, one a step, as a native histogram.
func native(after string) string {
	return `  coldtrace_watch_phase_duration_seconds{phase="pod_startup",result="ok",endpoint_name="llama"} ` + after
}

const (
	slowly  = `{{schema:0 sum:0 count:0 offset:8 buckets:[0 0 0]}}+{{schema:0 sum:700 count:1 offset:8 buckets:[0 0 1]}}x`
	quickly = `{{schema:0 sum:0 count:0 offset:8 buckets:[0 0 0]}}+{{schema:0 sum:200 count:1 offset:8 buckets:[1 0 0]}}x`
)

func TestAlertsFireWhenTheyShould(t *testing.T) {
	week := 8 * 24 * time.Hour
	seen := map[string]map[bool]bool{}
	all := alerts(t)
	for name, c := range map[string]struct {
		alert, series string
		step          string        // of the series; empty: a minute
		after         time.Duration // 0: two hours
		fires         bool
	}{
		"coldtrace fails pods":                             {alert: "ColdtraceAdmissionsFail", series: `  coldtrace_admission_decisions_total{outcome="failed",reason="panic"} 0+1x200`, fires: true},
		"coldtrace failed pods once":                       {alert: "ColdtraceAdmissionsFail", series: `  coldtrace_admission_decisions_total{outcome="failed",reason="panic"} 0 3x200`},
		"coldtrace does what it should":                    {alert: "ColdtraceAdmissionsFail", series: `  coldtrace_admission_decisions_total{outcome="injected",reason="ok"} 0+9x200`},
		"nobody answers":                                   {alert: "ColdtraceAway", series: `  up{job="other"} 1x200`, fires: true},
		"one of two answers":                               {alert: "ColdtraceAway", series: `  coldtrace_policy_good{pod="a"} 1x200`},
		"a certificate expires today":                      {alert: "ColdtraceCertificateExpires", series: `  coldtrace_certificate_expiry_timestamp_seconds 80000x200`, fires: true},
		"one of two certificates expires today":            {alert: "ColdtraceCertificateExpires", series: "  coldtrace_certificate_expiry_timestamp_seconds{pod=\"a\"} 80000x200\n  coldtrace_certificate_expiry_timestamp_seconds{pod=\"b\"} 8000000x200", fires: true},
		"a certificate expires next month":                 {alert: "ColdtraceCertificateExpires", series: `  coldtrace_certificate_expiry_timestamp_seconds 2600000x200`},
		"there is no certificate yet":                      {alert: "ColdtraceCertificateExpires", series: `  coldtrace_certificate_expiry_timestamp_seconds 0x200`},
		"a policy file can't be read":                      {alert: "ColdtracePolicyBad", series: "  coldtrace_policy_good{pod=\"a\"} 1x200\n  coldtrace_policy_good{pod=\"b\"} 0x200", fires: true},
		"policy files can be read":                         {alert: "ColdtracePolicyBad", series: `  coldtrace_policy_good 1x200`},
		"the collector is away":                            {alert: "ColdtraceExportsFail", series: `  coldtrace_watch_export_retries_total 0+1x200`, fires: true},
		"the collector was away":                           {alert: "ColdtraceExportsFail", series: `  coldtrace_watch_export_retries_total 0+1x60 60x140`},
		"spans are refused":                                {alert: "ColdtraceTelemetryLost", series: `  coldtrace_watch_spans_total{result="refused"} 0x100 7x100`, fires: true},
		"spans are dropped":                                {alert: "ColdtraceTelemetryLost", series: `  coldtrace_watch_spans_total{result="dropped"} 0x100 7x100`, fires: true},
		"spans are exported":                               {alert: "ColdtraceTelemetryLost", series: "  coldtrace_watch_spans_total{result=\"exported\"} 0+5x200\n  coldtrace_watch_spans_total{result=\"dropped\"} 7x200"},
		"pods of one owner go without the wrapper":         {alert: "ColdtraceBreakerOpen", series: `  coldtrace_breaker_open_owners 1x200`, fires: true},
		"all pods go without the wrapper":                  {alert: "ColdtraceBreakerOpen", series: `  coldtrace_breaker_open_owners -1x200`, fires: true},
		"no pods go without the wrapper":                   {alert: "ColdtraceBreakerOpen", series: `  coldtrace_breaker_open_owners 0x200`},
		"starts are slow":                                  {alert: "EndpointStartsSlowly", series: starts(`result="ok",endpoint_name="llama"`, "0x200", "0+1x200", "0+1x200"), fires: true},
		"starts are quick":                                 {alert: "EndpointStartsSlowly", series: starts(`result="ok",endpoint_name="llama"`, "0+1x200", "0+1x200", "0+1x200")},
		"starts fail slowly":                               {alert: "EndpointStartsSlowly", series: starts(`result="failed",endpoint_name="llama"`, "0x200", "0+1x200", "0+1x200")},
		"starts are slow, as native histograms have it":    {alert: "EndpointStartsSlowly", series: native(slowly + "200"), fires: true},
		"starts are quick, as native histograms have it":   {alert: "EndpointStartsSlowly", series: native(quickly + "200")},
		"starts are slower than in the week before":        {alert: "EndpointStartsSlower", step: "1h", after: week, series: starts(`result="ok",endpoint_name="llama"`, "0+2x185 370x10", "0+2x200", "0+2x200"), fires: true},
		"starts are as slow as in the week before":         {alert: "EndpointStartsSlower", step: "1h", after: week, series: starts(`result="ok",endpoint_name="llama"`, "0x200", "0+2x200", "0+2x200")},
		"two starts are slower than in the week before":    {alert: "EndpointStartsSlower", step: "1h", after: week, series: starts(`result="ok",endpoint_name="llama"`, "0+2x180 360x20", "0+2x180 360x8 361 362x20", "0+2x180 360x8 361 362x20")},
		"slower than in the week before, native":           {alert: "EndpointStartsSlower", step: "1h", after: week, series: native(quickly+"185") + " " + `{{schema:0 sum:37700 count:186 offset:8 buckets:[185 0 1]}}+{{schema:0 sum:700 count:1 offset:8 buckets:[0 0 1]}}x10`, fires: true},
		"as slow as in the week before, native":            {alert: "EndpointStartsSlower", step: "1h", after: week, series: native(slowly + "200")},
		"starts failed three times within an hour":         {alert: "EndpointStartsFail", series: `  coldtrace_watch_failures_total{endpoint_name="llama",reason="OOMKilled"} 5x90 6 7 8x60`, fires: true},
		"the first three starts of an endpoint failed":     {alert: "EndpointStartsFail", series: `  coldtrace_watch_failures_total{endpoint_name="llama",reason="OOMKilled"} _x100 3x60`, fires: true},
		"starts of two causes failed three times":          {alert: "EndpointStartsFail", series: "  coldtrace_watch_failures_total{endpoint_name=\"llama\",reason=\"ImagePullBackOff\",cause=\"not_found\"} _x100 2x60\n  coldtrace_watch_failures_total{endpoint_name=\"llama\",reason=\"ImagePullBackOff\",cause=\"rate_limited\"} _x100 1x60", fires: true},
		"starts failed twice":                              {alert: "EndpointStartsFail", series: `  coldtrace_watch_failures_total{endpoint_name="llama",reason="OOMKilled"} _x100 2x60`},
		"starts failed often, long ago":                    {alert: "EndpointStartsFail", series: `  coldtrace_watch_failures_total{endpoint_name="llama",reason="OOMKilled"} 100x200`},
		"a start goes on for long":                         {alert: "EndpointStartStuck", series: `  coldtrace_watch_oldest_start_seconds{phase="image_pull"} 0+60x200`, fires: true},
		"a start goes on for a while, and none in a phase": {alert: "EndpointStartStuck", series: "  coldtrace_watch_oldest_start_seconds{phase=\"image_pull\"} 600x200\n  coldtrace_watch_oldest_start_seconds{phase=\"pod_ready\"} 0x200"},
	} {
		t.Run(name, func(t *testing.T) {
			a, ok := all[c.alert]
			if !ok {
				t.Fatalf("the chart has no alert %s", c.alert)
			}
			step := c.step
			if step == "" {
				step = "1m"
			}
			after := c.after
			if after == 0 {
				after = 2 * time.Hour
			}
			series := promqltest.LoadedStorage(t, "load "+step+"\n"+c.series+"\n")
			defer series.Close()
			if got := fires(t, series, a, time.Unix(0, 0).UTC().Add(after)); got != c.fires {
				t.Errorf("it fires: %v, by\n%s", got, a.Expr)
			}
		})
		if seen[c.alert] == nil {
			seen[c.alert] = map[bool]bool{}
		}
		seen[c.alert][c.fires] = true
	}
	for name := range all {
		if !seen[name][true] || !seen[name][false] {
			t.Errorf("%s is not tried both ways", name)
		}
	}
}

// series are what the documents say that there is; that table is made from the code.
var metric = regexp.MustCompile(`coldtrace_[a-z_]+`)

func TestAlertsAskForMetricsThatThereAre(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range alerts(t) {
		for _, asked := range metric.FindAllString(a.Expr, -1) {
			for _, of := range []string{"_bucket", "_count", "_sum"} {
				asked = strings.TrimSuffix(asked, of)
			}
			if !strings.Contains(string(text), "| `"+asked+"` |") {
				t.Errorf("%s asks for %s", name, asked)
			}
		}
	}
}
