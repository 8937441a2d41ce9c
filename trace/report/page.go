// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/advice"
)

//go:embed page.html
var pageHTML string

//go:embed page.js
var pageScript string

var page = template.Must(template.New("page").Parse(pageHTML))

// mostDrawn starts are on a page, the newest: with their waterfalls they take some 3 kB each. Older ones are in the figures.
const mostDrawn = 500

// Page is one self-contained HTML page, which loads nothing: groups, plots, and each start's waterfall. Its own script alone
// may run in it.
func (r *Report) Page() ([]byte, error) {
	hash := sha256.Sum256([]byte(pageScript))
	view := struct {
		Title, When, By, Hash string
		Script                template.JS
		Data                  *pageData
	}{r.headline(), r.when(), r.By, "sha256-" + base64.StdEncoding.EncodeToString(hash[:]), template.JS(pageScript), r.data()} //nolint:gosec // it is ours
	var out bytes.Buffer
	if err := page.Execute(&out, view); err != nil {
		return nil, fmt.Errorf("execute page template: %w", err)
	}
	return out.Bytes(), nil
}

// pageData is what the page's script draws. Texts that come often stand in Strings once.
type pageData struct {
	By      string      `json:"by"`
	Page    string      `json:"page"`
	Left    int         `json:"left"` // starts without a drawing
	Strings []string    `json:"strings"`
	Groups  []groupJSON `json:"groups"`
	Starts  []pageStart `json:"starts"`

	known map[string]int
}

type pageStart struct {
	ID      string          `json:"id"`
	Pod     string          `json:"pod"`
	Group   int             `json:"group"`
	Began   int64           `json:"began"` // Unix milliseconds
	Total   float64         `json:"total"`
	Length  float64         `json:"length"` // of the drawing
	Ended   Ended           `json:"ended"`
	Outcome string          `json:"outcome"`
	Slowest string          `json:"slowest"`
	Rows    []any           `json:"rows"` // depth, label, kind, from, length, reason, attributes
	Shared  []int           `json:"shared"`
	Advice  []advice.Advice `json:"advice"`
}

func (r *Report) data() *pageData {
	d := &pageData{By: r.By, Page: advice.Page, Strings: []string{""}, known: map[string]int{"": 0}, Groups: []groupJSON{}, Starts: []pageStart{}}
	for i := range r.Groups {
		g := &r.Groups[i]
		d.Groups = append(d.Groups, g.json())
		for j := range g.Starts {
			if g.Starts[j].Drawing != nil {
				d.Starts = append(d.Starts, d.start(&g.Starts[j], i))
			} else {
				d.Left++
			}
		}
	}
	slices.SortStableFunc(d.Starts, func(a, b pageStart) int { return cmp.Compare(b.Began, a.Began) })
	return d
}

func (d *pageData) start(s *Start, group int) pageStart {
	out := pageStart{
		ID: s.Trace, Pod: s.Pod, Group: group, Began: s.Began.UnixMilli(), Total: round(s.Total.Seconds()), Length: round(s.Drawing.Length.Seconds()),
		Ended: s.Ended, Outcome: s.Outcome, Rows: make([]any, 0, len(s.Drawing.Rows)), Shared: d.pairs(s.Drawing.Shared), Advice: s.Advice,
	}
	if len(s.Phases) > 0 {
		out.Slowest = s.Phases[0].Phase
	}
	for _, row := range s.Drawing.Rows {
		out.Rows = append(out.Rows, []any{row.Depth, d.text(row.Label), d.text(row.Kind), round(row.From.Seconds()), round(row.Length.Seconds()), d.text(row.Reason), d.pairs(row.Attributes)})
	}
	return out
}

// round to milliseconds: half the digits of the page's figures are beyond.
func round(s float64) float64 { return float64(int64(s*1000+0.5)) / 1000 }

func (d *pageData) text(s string) int {
	i, ok := d.known[s]
	if !ok {
		i = len(d.Strings)
		d.known[s] = i
		d.Strings = append(d.Strings, s)
	}
	return i
}

// Unsaid are attributes of spans that no report tells: they say again what it shows, or only machines read them.
var Unsaid = []string{startup.AttrDurationSeconds, startup.AttrSamplingPriority, startup.AttrTotalStartupSeconds}

func (d *pageData) pairs(of []trace.Attribute) []int {
	out := []int{}
	for _, a := range of {
		if !slices.Contains(Unsaid, a.Key) {
			out = append(out, d.text(a.Key), d.text(a.Text()))
		}
	}
	return out
}
