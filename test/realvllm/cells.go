// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/freeport"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

func cells() []cell {
	return slices.Concat(readyCells(), failureCells(), flagCells(), collectorCells(), groupCells(), otherCells())
}

const (
	bound = 100 * time.Millisecond // between what we see and what is told
	// toldWithin is for a start that is told late, so that the table says by how much.
	toldWithin = 15 * time.Second
)

// try is one run of a server under the wrapper with a collector that listens.
type try struct {
	*server
	collector *otlptest.Receiver
}

// wrapped starts a pod as the webhook would have it.
func (b *bench) wrapped(ctx context.Context, name string, p pod, ask bool) (*try, error) {
	collector, err := otlptest.Listen("127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, collector.Close)
	argv, env, err := b.injected(ctx, p, "http://"+collector.GRPC, "grpc")
	if err != nil {
		return nil, err
	}
	port := p.port
	if !ask {
		port = 0
	}
	s, err := b.launch(ctx, name, argv, env, port)
	return &try{s, collector}, err
}

// pod is a pod of an engine. Its port comes first among the arguments, numbers that are none after it.
func (b *bench) pod(e engine, sh shape, model string, more ...string) (pod, error) {
	port, err := freeport.Find()
	if err != nil {
		return pod{}, err
	}
	args := []string{"--model", b.model(model)}
	if sh.name == "serve" {
		args = args[1:]
	}
	args = append(args, "--port", strconv.Itoa(port), "--enforce-eager", "--max-model-len", "256", "--max-num-seqs", "4")
	command, rest := sh.command(b.python(e), append(args, more...))
	env := map[string]string{"VLLM_CACHE_ROOT": b.at("work", "cache", e.version)}
	maps.Copy(env, e.light)
	return pod{command: command, args: rest, port: port, probe: sh.probe, image: "vllm/vllm-openai:v" + e.version, env: env}, nil
}

// readyCells are every version, written in every way, in every silence. A short run takes each pair of two of them about once.
func readyCells() (out []cell) {
	for i, e := range engines {
		for j, sh := range shapes {
			for k, si := range silences {
				name := fmt.Sprintf("ready/%s/%s/%s", e.version, sh.name, si.name)
				out = append(out, cell{name: name, short: (i+j+k)%len(silences) == 1, engine: e, run: func(ctx context.Context, b *bench) outcome {
					p, err := b.pod(e, sh, "good", si.args...)
					if err != nil {
						return failed(err)
					}
					maps.Copy(p.env, si.env)
					return b.becomesReady(ctx, name, p, func(o *outcome, s *server) {
						if !b.given(s) { // each of these versions serves with it, from any shape
							o.fault("the flag was withheld")
						}
					})
				}})
			}
		}
	}
	return out
}

// becomesReady holds what is told of a start against our own clock.
func (b *bench) becomesReady(ctx context.Context, name string, p pod, then ...func(o *outcome, s *server)) (o outcome) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := b.wrapped(ctx, name, p, true)
	if err != nil {
		return failed(err)
	}
	if err := t.awaitReady(ctx); err != nil {
		return failed(err)
	}
	o.own = t.readyAt.Sub(t.began)
	whole, ok := t.collector.WaitSpan(toldWithin, startup.SpanStartup)
	if !ok {
		o.fault("nothing told within %s", toldWithin)
		return o
	}
	o.told = whole.End.Sub(t.began)
	if late := o.told - o.own; late.Abs() > bound {
		o.fault("told %s off", late.Round(time.Millisecond))
	}
	if whole.Error != "" {
		o.fault("told as failed: %s", whole.Error)
	}
	o.importBelievable(t.collector.Spans(), o.own)
	for _, s := range t.collector.Spans() {
		if s.Error != "" && s.Name != startup.SpanStartup {
			o.fault("%s told as failed: %s", s.Name, s.Error)
		}
	}
	for _, f := range then {
		f(&o, t.server)
	}
	return o
}

// importBelievable holds python_import to what it can have taken: by its own stamps it is a fifth to two fifths of a start
// of this model.
func (o *outcome) importBelievable(spans []otlptest.Span, whole time.Duration) {
	for _, s := range spans {
		if d := s.End.Sub(s.Start); s.Name == startup.SpanPythonImport {
			o.note = fmt.Sprintf("%s import %.1f", o.note, d.Seconds())
			if d > whole*6/10 {
				o.fault("python_import is given %.1f s of %.1f", d.Seconds(), whole.Seconds())
			}
		}
	}
}
