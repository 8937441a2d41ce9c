// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// absence is a way for a collector not to be there.
type absence struct {
	protocol string
	hangs    bool // takes connections and never answers; else refuses them
	traced   bool // a request is traced before the end
	short    bool
}

func (a absence) String() string {
	words := map[bool]string{true: "hangs", false: "refuses"}[a.hangs] + " " + a.protocol
	if a.traced {
		words += " request"
	}
	return words
}

var absences = []absence{
	{protocol: "grpc"}, {protocol: "grpc", traced: true, short: true}, {protocol: "grpc", hangs: true, traced: true},
	{protocol: "http/protobuf", traced: true}, {protocol: "http/protobuf", hangs: true}, {protocol: "http/protobuf", hangs: true, traced: true, short: true},
}

const (
	// after is how long a server is left alone before it is asked to end: more than its first attempt to export.
	after = 3 * time.Second
	slack = 500 * time.Millisecond
)

// collectorCells compare the end of a server whose collector is away with that of a bare one beside it.
func collectorCells() (out []cell) {
	for i, e := range engines {
		for j, a := range absences {
			name := fmt.Sprintf("collector/%s/%s", e.version, a)
			out = append(out, cell{name: name, short: a.short && (i+j)%2 == 0, engine: e, run: func(ctx context.Context, b *bench) outcome {
				return b.endsAsSoon(ctx, name, e, a)
			}})
		}
	}
	return out
}

// ending is how a server ended on SIGTERM.
type ending struct {
	took       time.Duration
	code       int
	complaints map[string]int
	flagged    bool
}

func (b *bench) end(ctx context.Context, name string, e engine, a absence, bare bool) (*ending, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends with the cell
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if !a.hangs {
		l.Close()
	}
	p, err := b.pod(e, shapes[0], "good")
	if err != nil {
		return nil, err
	}
	argv, env := b.bare(p)
	if !bare {
		if argv, env, err = b.injected(ctx, p, "http://"+l.Addr().String(), a.protocol); err != nil {
			return nil, err
		}
	}
	s, err := b.launch(ctx, name, argv, env, p.port)
	if err != nil {
		return nil, err
	}
	if err := s.awaitReady(ctx); err != nil {
		return nil, err
	}
	if a.traced {
		if err := s.complete(b.model("good")); err != nil {
			return nil, err
		}
	}
	time.Sleep(after)
	out := &ending{flagged: b.given(s)}
	if out.took, err = s.stop(ctx, syscall.SIGTERM); err != nil {
		return nil, err
	}
	out.code, out.complaints = s.code(), s.complaints()
	return out, nil
}

func (b *bench) endsAsSoon(ctx context.Context, name string, e engine, a absence) (o outcome) {
	var bare, got *ending
	var errs [2]error
	var both sync.WaitGroup
	both.Go(func() { bare, errs[0] = b.end(ctx, name+" bare", e, a, true) })
	both.Go(func() { got, errs[1] = b.end(ctx, name, e, a, false) })
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return failed(err)
	}
	o.own, o.told = bare.took, got.took
	o.note = "SIGTERM to exit, bare and wrapped; " + map[bool]string{true: "with the flag", false: "without"}[got.flagged]
	if o.told > o.own+slack {
		o.fault("the end is late")
	}
	if got.code != bare.code {
		o.fault("exit code %d bare, %d wrapped", bare.code, got.code)
	}
	var more []string
	for text, n := range got.complaints {
		if n > bare.complaints[text] {
			more = append(more, fmt.Sprintf("%q", text))
		}
	}
	slices.Sort(more)
	if len(more) > 0 {
		o.fault("%d kinds of line more on stderr, such as %.160s", len(more), more[0])
	}
	return o
}
