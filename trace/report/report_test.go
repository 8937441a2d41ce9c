// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
	"github.com/coldtrace/coldtrace/trace/tracetest"
)

// start of an endpoint whose image takes pull seconds and whose weights take load.
func start(i int, endpoint, image string, pull, load float64, cached bool) Start {
	ready := 5 + pull + load + 10
	return startOf(trace.Build(tracetest.Spans(fmt.Sprintf("%s-%d", endpoint, i), float64(600*i), fmt.Sprintf(`
		endpoint_name=%s image_tag=%s engine=vllm engine_version=0.11.2 node_name=gpu-%d
		pod_startup 0-%.3f outcome=ready
		  pod_pending 0-5
		  image_pull 5-%.3f cached=%v k8s.container.name=main
		  pod_ready %.3f-%.3f
		  startup %.3f-%.3f
		    weights_load %.3f-%.3f
		    torch_compile %.3f-%.3f compile_cache=miss`,
		endpoint, image, i%3, ready, 5+pull, cached, 5+pull, ready, 5+pull, ready, 5+pull, 5+pull+load, 5+pull+load, ready)))[0])
}

// several endpoints: one that is usual, one that fails, one that still starts.
func several() (starts []Start) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 20 {
		starts = append(starts, start(i, "llama", "v1", 30+20*random.Float64(), 20+random.Float64(), i%4 == 0))
	}
	for i, said := range []string{"!cuda_out_of_memory", "!cuda_out_of_memory", "!gpu_memory_in_use"} {
		starts = append(starts, startOf(tracetest.Trace(fmt.Sprint("failed", i), `
		endpoint_name=mixtral image_tag=v2
		pod_startup 0-90 outcome=failed !exit_code=1
		  pod_pending 0-10
		  startup 10-90 `+said)))
	}
	starts = append(starts, start(7, "mixtral", "v2", 100, 50, false), startOf(tracetest.Trace("goes-on", `
		endpoint_name=mixtral image_tag=v2
		pod_startup 0-30 open
		  pod_pending 0-30 open`)), startOf(tracetest.Trace("nameless", `
		num_gpus=1
		pod_startup 0-30 outcome=ready
		  pod_pending 0-30`)))
	return starts
}

func TestAReportCountsWhatItShould(t *testing.T) {
	r := New(several(), "endpoint")
	var names []string
	for _, g := range r.Groups {
		names = append(names, fmt.Sprintf("%s: %d ready, %d failed, %d going", g.Name, g.Ready, g.Failed, g.Going))
	}
	if want := []string{"llama: 20 ready, 0 failed, 0 going", "mixtral: 1 ready, 3 failed, 1 going", ": 1 ready, 0 failed, 0 going"}; !slices.Equal(names, want) {
		t.Errorf("groups %q, want %q", names, want)
	}
	if got, want := fmt.Sprint(r.Groups[1].Reasons), "[{cuda_out_of_memory 2} {gpu_memory_in_use 1}]"; got != want {
		t.Errorf("reasons %s, want %s", got, want)
	}
	if total := r.Groups[1].Total.P50; total != 165*time.Second {
		t.Errorf("the total of the one that got ready is %v: starts that failed are in it", total)
	}
	for by, want := range map[string]int{"image_tag": 3, "node": 4, "engine_version": 2, "namespace": 1, "region": 1} {
		if got := len(New(several(), by).Groups); got != want {
			t.Errorf("by %s: %d groups, want %d", by, got, want)
		}
	}
	if err := Groupable("colour"); err == nil || !strings.Contains(err.Error(), "image_tag") {
		t.Errorf("by colour: %v", err)
	}
}

func TestThePhasesOfAStartAddUpToItsTotal(t *testing.T) {
	for _, s := range several() {
		if s.Ended != Well {
			continue
		}
		sum := time.Duration(0)
		for _, p := range s.Phases {
			sum += p.Time
		}
		if (sum - s.Total).Abs() > time.Microsecond {
			t.Errorf("%s: phases take %v of %v", s.Pod, sum, s.Total)
		}
	}
}

func TestQuantilesAreThoseOfOtherTools(t *testing.T) {
	// R: quantile(c(1,2,3,4,10), c(.1,.5,.9,.95)) is 1.4 3.0 7.6 8.8.
	got := quantiles([]time.Duration{10e9, 1e9, 4e9, 3e9, 2e9})
	for _, d := range []*time.Duration{&got.P10, &got.P50, &got.P90, &got.P95} {
		*d = d.Round(time.Microsecond)
	}
	if want := (Quantiles{1400 * time.Millisecond, 3e9, 7600 * time.Millisecond, 8800 * time.Millisecond}); got != want {
		t.Errorf("quantiles %v, want %v", got, want)
	}
	if got := quantiles(nil); got != (Quantiles{}) {
		t.Errorf("of nothing: %v", got)
	}
	if got := quantiles([]time.Duration{7}); got != (Quantiles{7, 7, 7, 7}) {
		t.Errorf("of one: %v", got)
	}
}

func TestAPhaseThatStartsLackCountsAsNothing(t *testing.T) {
	starts := []Start{start(1, "e", "v", 30, 20, false), start(2, "e", "v", 0, 20, false), start(3, "e", "v", 0, 20, false)}
	g := NewGroup("e", starts)
	at := slices.IndexFunc(g.Phases, func(p Phase) bool { return p.Name == "image_pull main" })
	if p := g.Phases[at]; p.Starts != 1 || p.Took.P50 != 0 || p.Share != 0 || p.Varies() != 24*time.Second {
		t.Errorf("the pull that one of three starts had: %+v", p)
	}
	if p := g.Varying(1)[0]; p.Name != "image_pull main" {
		t.Errorf("what varies most is %s", p.Name)
	}
}

func TestReportsLookAsTheyDid(t *testing.T) {
	r := New(several(), "endpoint")
	for _, o := range []trace.Options{{Width: 40}, {Width: 80}, {Width: 160}, {Width: 80, ASCII: true}, {Width: 100, Colour: true}} {
		tracetest.Golden(t, fmt.Sprintf("report-%d-%v-%v.txt", o.Width, o.Colour, o.ASCII), r.Text(o))
	}
}

func TestAReportOfFilesSaysWhatToDo(t *testing.T) {
	var spans []*trace.Span
	for _, name := range []string{"testdata/before.jsonl", "testdata/after.jsonl", "../testdata/several.jsonl"} {
		in, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		found, _, err := trace.Read(name, in)
		if err != nil {
			t.Fatal(err)
		}
		spans = append(spans, found...)
	}
	r := New(Read(trace.Build(spans), false), "image_tag")
	tracetest.Golden(t, "files-100.txt", r.Text(trace.Options{Width: 100}))
	tracetest.Golden(t, "files-100-colour.txt", r.Text(trace.Options{Width: 100, Colour: true}))
	for _, o := range []trace.Options{{Width: 100}, {Width: 100, Colour: true}, {Width: 30}} {
		if text := r.Text(o); !strings.Contains(text, "advice is explained") || !strings.HasSuffix(text, "\n") {
			t.Errorf("%+v: there is advice, and no line that says where it is explained:\n%s", o, text)
		}
	}
}

func TestNoLineOfAReportIsWiderThanTheTerminal(t *testing.T) {
	starts := append(several(), startOf(tracetest.Trace("wide", "endpoint_name="+strings.Repeat("long-", 60)+"\npod_startup 0-9 outcome=failed !"+strings.Repeat("reason", 60))))
	c, err := Compare(NewGroup(strings.Repeat("before", 60), starts[:10]), NewGroup("after", starts[10:20]))
	if err != nil {
		t.Fatal(err)
	}
	for width := 20; width <= 200; width++ {
		for _, ascii := range []bool{false, true} {
			o := trace.Options{Width: width, ASCII: ascii}
			for line := range strings.Lines(New(starts, "endpoint").Text(o) + c.Text(o)) {
				if line = strings.TrimSuffix(line, "\n"); text.Columns(line) > width {
					t.Fatalf("at %d columns: %d wide: %q", width, text.Columns(line), line)
				}
			}
		}
	}
}

func TestMachinesReadTheSameFigures(t *testing.T) {
	r := New(several(), "endpoint")
	var asJSON, asCSV bytes.Buffer
	if err := r.JSON(&asJSON); err != nil {
		t.Fatal(err)
	}
	if err := r.CSV(&asCSV); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Groups []struct {
			Name   string
			Total  struct{ P50 float64 } `json:"total_seconds"`
			Phases []struct {
				Name    string
				Seconds struct{ P50 float64 }
			}
			Slowest []startJSON
		}
	}
	if err := json.Unmarshal(asJSON.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&asCSV).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]string{}
	for _, row := range rows {
		byName[row[0]+" "+row[1]] = row[5]
	}
	for i, g := range read.Groups {
		if g.Name != r.Groups[i].Name || g.Total.P50 != r.Groups[i].Total.P50.Seconds() {
			t.Errorf("JSON has %s with %v, want %s with %v", g.Name, g.Total.P50, r.Groups[i].Name, r.Groups[i].Total.P50)
		}
		for _, p := range g.Phases {
			if got, want := byName[g.Name+" "+p.Name], fmt.Sprintf("%.3f", p.Seconds.P50); got != want {
				t.Errorf("CSV has %q for %s of %s, JSON %s", got, p.Name, g.Name, want)
			}
		}
	}
	if len(read.Groups[0].Slowest) != mostSlowest || read.Groups[0].Slowest[0].Seconds < read.Groups[0].Slowest[1].Seconds {
		t.Errorf("the slowest are %v", read.Groups[0].Slowest)
	}
}

func TestATotalThatNoStartHasIsNoFigure(t *testing.T) {
	r := &Report{By: "endpoint", Groups: []Group{{Name: "llama", Starts: make([]Start, 1), Counts: Counts{Failed: 1}}}}
	var asJSON, asCSV bytes.Buffer
	if err := r.JSON(&asJSON); err != nil || strings.Count(asJSON.String(), `"total_seconds": null`) != 2 { // of the endpoint, and of pods that start as one
		t.Errorf("error %v, JSON %s", err, asJSON.String())
	}
	if err := r.CSV(&asCSV); err != nil || !strings.Contains(asCSV.String(), "llama,total,1,1,,,,,") {
		t.Errorf("error %v, CSV %s", err, asCSV.String())
	}
}

func TestThePageOfManyStartsIsSmallAndHoldsTheNewest(t *testing.T) {
	in, err := os.ReadFile("../testdata/ready.jsonl") // 20 spans
	if err != nil {
		t.Fatal(err)
	}
	const uid, pod, id = "0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10", "-x2x7k", "5a44de008fd208065638a802730aea79"
	var spans []*trace.Span
	for i := range 510 {
		one := strings.NewReplacer(uid, fmt.Sprintf("%08x-6d1b-4f2e-9c55-3d2b1a0e7f10", i), pod, fmt.Sprintf("-%05x", i), id, fmt.Sprintf("%032x", i+1)).Replace(string(in))
		found, _, err := trace.Read("many", strings.NewReader(one))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range found { // no two take the same time
			s.Start, s.End = s.Start.Add(time.Duration(i)*time.Minute), s.End.Add(time.Duration(i)*(time.Minute+1234567))
		}
		spans = append(spans, found...)
	}
	r := New(Read(trace.Build(spans), true), "endpoint")
	got, err := r.Page()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) > 2_000_000 {
		t.Errorf("%d bytes", len(got))
	}
	if d := r.data(); len(d.Starts) != 500 || d.Left != 10 || d.Starts[0].ID != fmt.Sprintf("%032x", 510) {
		t.Errorf("%d starts are drawn, %d left out", len(d.Starts), d.Left)
	}
	t.Logf("%d bytes", len(got))
}

// What a page may not do: load anything, or run anything but its script, whatever is in the names of pods and phases.
func TestThePageRunsItsOwnScriptAlone(t *testing.T) {
	const evil = `</script><script>alert(1)</script><img/src=x>`
	s := startOf(tracetest.Trace("u", "endpoint_name="+evil+"\npod_startup 0-9 outcome=failed !"+evil))
	s.Drawing = tracetest.Trace("u", "endpoint_name="+evil+"\npod_startup 0-9 outcome=failed !"+evil).Drawing()
	got, err := New([]Start{s}, "endpoint").Page()
	if err != nil {
		t.Fatal(err)
	}
	page := string(got)
	if strings.Count(page, "<script") != 2 || strings.Contains(page, "<img") || !strings.Contains(page, "default-src 'none'") || strings.Contains(page, "'unsafe-inline'; script") {
		t.Errorf("the page has markup of the data in it:\n%s", page)
	}
	hash := sha256.Sum256([]byte(pageScript))
	if want := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"; !strings.Contains(html.UnescapeString(page), want) {
		t.Errorf("the page lacks %s", want)
	}
}
