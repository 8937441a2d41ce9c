// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// player performs a script.
type player struct {
	out, err io.Writer
	version  string
	speed    float64 // gaps are divided by it
	facts    map[string]bool
	values   map[string]string // model, host, port, hostport, tp
	ranks    int
	truth    *truth
	begun    map[string]time.Time
	previous time.Time // of the last line
	fatal    string    // the point where SIM_FAIL strikes
	log      string    // what of the log is written, see README.md; empty: all
	fail     func(point string) (code int, dead bool)
	warming  func() error // the port opens, but does not yet say healthy
	stop     <-chan struct{}
}

// stopped is returned when the process was told to stop.
type stopped struct{}

func (stopped) Error() string { return "stopped" }

// died is returned where SIM_FAIL struck.
type died struct{ code int }

func (d died) Error() string { return fmt.Sprintf("died with %d", d.code) }

func (p *player) play(steps []step) error {
	p.begun = map[string]time.Time{}
	p.previous = time.Now()
	p.fatal = fatalPoint(os.Getenv("SIM_FAIL"), steps)
	for _, s := range steps {
		if !s.applies(p.version, p.facts) {
			continue
		}
		if err := p.perform(s); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) perform(s step) error {
	switch s.verb {
	case "":
		return p.line(s)
	case "begin":
		p.begun[s.words[0]] = time.Now()
	case "end":
		p.truth.phase(s.words[0], p.begun[s.words[0]], time.Now())
	case "engine-ready":
		p.truth.engineReady(time.Now())
	case "warming":
		return p.warming()
	case "fail":
		if code, dead := p.fail(s.words[0]); dead {
			return died{code}
		}
	case "shards", "graphs":
		return p.bar(s)
	default:
		return fmt.Errorf("unknown step @%s", s.verb)
	}
	return nil
}

// wait takes as long as the script says at this speed.
func (p *player) wait(gap time.Duration) error {
	if gap <= 0 {
		return nil
	}
	due := time.Now().Add(time.Duration(float64(gap) / p.speed))
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		p.truth.late(time.Since(due))
		return nil
	case <-p.stop:
		return stopped{}
	}
}

func (p *player) line(s step) error {
	if err := p.wait(s.gap); err != nil {
		return err
	}
	ranks := 1
	stream, each := strings.CutSuffix(s.stream, "*")
	if each {
		ranks = p.ranks
	}
	if stream == "none" || p.mute(stream, s.text) {
		return nil
	}
	for rank := range ranks {
		text := p.expand(s.text, rank) + "\n"
		if err := p.write(stream, text); err != nil {
			return err
		}
	}
	p.previous = time.Now()
	return nil
}

// mute says whether the log's settings leave a line out.
func (p *player) mute(stream, text string) bool {
	switch p.log {
	case "none", "bars":
		return true
	case "warning":
		return !strings.Contains(text, "{WARNING ")
	case "quiet-uvicorn":
		return stream == "err"
	}
	return false
}

func (p *player) write(stream, text string) error {
	w := p.out
	if stream == "err" {
		w = p.err
	}
	p.truth.line(time.Now())
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write %s: %w", stream, err)
	}
	return nil
}

// bar writes what tqdm does: on stderr, each state over the last one. Graph bars stay on one line; those of shards, as
// vLLM prints them, each end theirs.
func (p *player) bar(s step) error {
	steps, err := strconv.Atoi(s.words[0])
	if err != nil {
		return fmt.Errorf("read bar: %w", err)
	}
	seconds, err := strconv.ParseFloat(s.words[1], 64)
	if err != nil {
		return fmt.Errorf("read bar: %w", err)
	}
	gap := time.Duration(seconds * float64(time.Second))
	begun := time.Now()
	prefix := ""
	if older(p.version, "0.31") {
		prefix = p.expand("{worker}", 0)
	}
	for i := range steps + 1 {
		if i > 0 {
			if err := p.wait(gap); err != nil {
				return err
			}
		}
		clock := time.Since(begun).Round(time.Second)
		state := fmt.Sprintf("%d/%d [%02d:%02d<00:00, %5.2fs/it]", i, steps, int(clock.Minutes()), int(clock.Seconds())%60, seconds)
		text := fmt.Sprintf("%s\rLoading safetensors checkpoint shards: %3d%% Completed | %s\n", prefix, 100*i/steps, state)
		if s.verb == "graphs" {
			text = fmt.Sprintf("\r%s: %3d%%|%-10s| %s", strings.Join(s.words[2:], " "), 100*i/steps, strings.Repeat("█", 10*i/steps), state)
			if i == 0 {
				text = prefix + text
			}
		}
		if p.log == "none" {
			continue
		}
		if err := p.write("err", text); err != nil {
			return err
		}
	}
	if p.log == "none" {
		return nil
	}
	return p.write("err", "\n")
}

// expand fills in placeholders.
func (p *player) expand(text string, rank int) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			b.WriteByte(c)
			i++
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				b.WriteString(text[i:])
				return b.String()
			}
			b.WriteString(p.value(text[i+1:i+end], rank))
			i += end
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// value of a placeholder: a value of the command line, a logger's head (INFO file.py:12), a process prefix, or
// PHASE:DECIMALS, the seconds since that phase began; since:DECIMALS counts from the previous line.
func (p *player) value(name string, rank int) string {
	if v, ok := p.values[name]; ok {
		return v
	}
	now := time.Now()
	word, rest, _ := strings.Cut(name, " ")
	switch word {
	case "rank":
		return strconv.Itoa(rank)
	case "pid":
		return strconv.Itoa(os.Getpid())
	case "version":
		return p.version
	case "date":
		return now.Format(time.DateTime)
	case "glog":
		return now.Format("I0102 15:04:05.000000 ") + strconv.Itoa(os.Getpid())
	case "INFO", "WARNING", "ERROR":
		return p.head(word, rest, now)
	case "api", "engine", "worker":
		return p.prefix(word, rank)
	case "tpn":
		if p.ranks > 1 {
			return " TP0"
		}
		return ""
	case "tgi", "router", "lightllm":
		return foreignHead(word, rest, now)
	}
	phase, decimals, _ := strings.Cut(name, ":")
	from, ok := p.begun[phase]
	if phase == "since" {
		from, ok = p.previous, true
	}
	n, err := strconv.Atoi(decimals)
	if err != nil || !ok {
		return "{" + name + "}"
	}
	return strconv.FormatFloat(now.Sub(from).Seconds(), 'f', n, 64)
}
