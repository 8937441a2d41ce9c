// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// rule is one text that a log may contain, and what it means. recipes/README.md documents the fields.
type rule struct {
	Says       string            `yaml:"says"`
	Starts     bool              `yaml:"starts"` // the message begins with it
	Phase      string            `yaml:"phase"`
	Edge       string            `yaml:"edge"` // begin | end (default)
	Opening    bool              `yaml:"opening"`
	Opens      string            `yaml:"opens"`
	Silence    string            `yaml:"silence"`   // what the engine did since the line before
	Tentative  bool              `yaml:"tentative"` // a later end of the phase replaces it
	Sets       map[string]string `yaml:"sets"`
	Whole      bool              `yaml:"whole"` // the phase is the engine's, not a rank's
	Once       bool              `yaml:"once"`  // ends the phase only if nothing has
	Mark       mark              `yaml:"mark"`
	Needs      mark              `yaml:"needs"`
	Unless     mark              `yaml:"unless"`
	By         string            `yaml:"by"` // whose line it is: server, api_server, core, nobody, container
	Since      string            `yaml:"since"`
	Before     string            `yaml:"before"`
	Figures    map[string]string `yaml:"figures"`
	Attributes map[string]string `yaml:"attributes"`
	Times      float64           `yaml:"times"`
	Fails      startup.Reason    `yaml:"fails"`
	Hard       bool              `yaml:"hard"`
	But        string            `yaml:"but"`      // not in a line that says this
	Fallback   bool              `yaml:"fallback"` // its figures count where nothing else states them

	shared  bool // of a file that several recipes include: says nothing about which engine this is
	pattern func() *regexp.Regexp
}

// mark is a point that a start passes.
type mark string

const (
	markLaunch      mark = "launch"       // a process of this engine introduces itself: whatever came before is another start
	markEngine      mark = "engine"       // an engine begins to initialise
	markDraft       mark = "draft"        // a draft model is loaded beside the target
	markNoDraft     mark = "no_draft"     // the engine has none: what a rank says twice is of one model
	markCapacity    mark = "capacity"     // memory for requests is allocated
	markEngineReady mark = "engine_ready" // the engine is initialised, by its own word
	markEngineUp    mark = "engine_up"    // something that happens only once the engine is initialised
	markWorking     mark = "working"      // a batch is under way: what ends it now is none of the start's
	markServing     mark = "serving"      // the server is about to listen
	markReady       mark = "ready"        // the server answers
	markEngineSeen  mark = "engine_seen"  // a line of the engine's own logger
	markHeadless    mark = "headless"     // its engine, or its server, is on another node
	markConfigured  mark = "configured"   // the server has read its configuration
	markEager       mark = "eager"        // no graphs will be captured but by its own word
	markPartReady   mark = "part_ready"   // a rank has done the last of its part that its log tells
	markClient      mark = "client"       // a client of a server speaks: what it says of an engine before one introduces itself is quoted
	markPrompt      mark = "prompt"       // a first line of a process, which may begin a new launch
	markWaiting     mark = "waiting"      // what it complained of may still come
	markGaveUp      mark = "gave_up"      // it ends itself, with SIGKILL
	markInterrupted mark = "interrupted"  // somebody ended it
	markExited      mark = "exited"       // it ended, says who ran it
	markException   mark = "traceback"    // a Python traceback begins
	markAside       mark = "aside"        // the next traceback is a finaliser's or a logger's, and ends nothing
	markThread      mark = "thread"       // the next traceback is a thread's: it is the program's end if no more comes
	markChained     mark = "chained"      // the next traceback is of the same mishap as the last
)

// aggregate is how a figure that several ranks state becomes one.
type aggregate string

const (
	aggregateMax  aggregate = "max"  // the largest of all (the default)
	aggregateMin  aggregate = "min"  // the smallest of all
	aggregateLast aggregate = "last" // what a rank said last, the smallest over ranks
	aggregateEach aggregate = "each" // the largest over ranks, one for each time a rank states it: target and draft model
	// aggregateDraft is "each" if a draft model is known to be there: a rank may compile several parts of one model.
	aggregateDraft aggregate = "draft"
)

// Placeholders of a text. Every other name is a number, with or without a sign and thousands separators.
var placeholders = map[string]string{
	"*":        `.*?`,
	"version":  `[0-9][^\s()',"]*`,
	"word":     `[\w.-]+`,
	"duration": `[0-9][0-9.]*(?:ns|µs|us|ms|s)\b`,
	"end":      `\s*(?:$|"|\\n|│)`, // of the line, of a JSON string, of a frame
}

const number = `-?[0-9][0-9,]*(?:\.[0-9]+)?`

var placeholder = regexp.MustCompile(`\{[^{}]+\}`)

// literal is the part before the first placeholder: what a line is searched for.
func (r *rule) literal() string {
	literal, _, _ := strings.Cut(r.Says, "{")
	return literal
}

// sought is the part of it that lines are searched for.
func (r *rule) sought() string {
	literal := r.literal()
	return literal[:min(len(literal), searched)]
}

// searched is how much of a literal lines are searched for: enough to be rare, and a smaller table.
const searched = 20

// prepare leaves the regexp to the first line that needs it: a recipe has a hundred texts, a log a dozen.
func (r *rule) prepare() {
	says := r.Says
	r.pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(compile(says)) })
}

// compile makes the text a regexp that is applied from the literal on.
func compile(says string) string {
	var b strings.Builder
	b.WriteString("^")
	rest := says
	for {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			break
		}
		b.WriteString(regexp.QuoteMeta(rest[:at[0]]))
		name := rest[at[0]+1 : at[1]-1]
		expr, special := placeholders[name]
		switch {
		case name == "*" || name == "end":
			b.WriteString(expr)
		case special:
			fmt.Fprintf(&b, "(?P<%s>%s)", name, expr)
		default:
			fmt.Fprintf(&b, "(?P<%s>%s)", name, number)
		}
		rest = rest[at[1]:]
	}
	b.WriteString(regexp.QuoteMeta(rest))
	return b.String()
}

// capture is what the placeholders of a text held.
type capture struct {
	re     *regexp.Regexp
	at     []int
	source []byte
}

func (r *rule) match(from []byte) (capture, bool) {
	if len(r.literal()) == len(r.Says) {
		return capture{}, true // from begins with it
	}
	re := r.pattern()
	at := re.FindSubmatchIndex(from)
	return capture{re, at, from}, at != nil
}

func (c capture) text(name string) string {
	if c.re == nil {
		return ""
	}
	i := c.re.SubexpIndex(name)
	if i < 0 || c.at[2*i] < 0 {
		return ""
	}
	return string(c.source[c.at[2*i]:c.at[2*i+1]])
}

// number is a placeholder's value; a {duration} is in seconds.
func (c capture) number(name string) (float64, bool) {
	text := c.text(name)
	if text == "" {
		return 0, false
	}
	if name == "duration" {
		d, err := time.ParseDuration(text)
		return d.Seconds(), err == nil
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	return v, err == nil
}

// maxLength is what a phase may take; more, or less than nothing, is no length: somebody set a clock, or it isn't the
// engine that says so.
const maxLength = 30 * 24 * time.Hour

// seconds is how long the line says that something took.
func (c capture) seconds() (float64, bool) {
	s, ok := c.number("seconds")
	if !ok {
		s, ok = c.number("duration")
	}
	if !ok || s < 0 || s > maxLength.Seconds() {
		return 0, false
	}
	return s, true
}

// version is a dotted number; what follows its numbers (rc1, .post1, .dev3+g12ab) does not count.
type version [3]int

func parseVersion(s string) (version, bool) {
	var v version
	for i := range v {
		digits := 0
		for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
			digits++
		}
		n, err := strconv.Atoi(s[:digits])
		if err != nil {
			return v, i > 0
		}
		v[i] = n
		if digits == len(s) || s[digits] != '.' {
			return v, true
		}
		s = s[digits+1:]
	}
	return v, true
}

func (v version) less(w version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

// applies says whether the text is one of this version's. A version that is not known counts as the newest.
func (r *rule) applies(of string) bool {
	if r.Since == "" && r.Before == "" {
		return true
	}
	have, known := parseVersion(of)
	if !known || strings.HasPrefix(of, "0.1.dev") { // of a build that has no tags
		return r.Before == ""
	}
	if since, ok := parseVersion(r.Since); ok && have.less(since) {
		return false
	}
	before, ok := parseVersion(r.Before)
	return !ok || have.less(before)
}
