// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"syscall"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/freeport"
)

// workerLine is where a worker's own engine is initialised; it serves nothing that could be asked.
var workerLine = regexp.MustCompile(`EngineCore\S* pid=\d+\).* init engine .* took`)

// groupCells are two nodes of one server, without Ray: a head that serves and a worker that only computes.
func groupCells() (out []cell) {
	for _, e := range engines {
		if !e.headed {
			continue
		}
		name := fmt.Sprintf("group/%s/headless pair", e.version)
		out = append(out, cell{name: name, short: e.version == "0.16.0", engine: e, run: func(ctx context.Context, b *bench) outcome {
			return b.pair(ctx, name, e)
		}})
	}
	return out
}

func (b *bench) pair(ctx context.Context, name string, e engine) (o outcome) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rpc, err := freeport.Find()
	if err != nil {
		return failed(err)
	}
	nodes := []string{"--data-parallel-size", "2", "--data-parallel-size-local", "1", "--data-parallel-address", "127.0.0.1", "--data-parallel-rpc-port", strconv.Itoa(rpc)}
	serve := shapes[1]
	// Of two servers on one port, each with a queue of its own, the kernel chooses one for each question.
	headPod, err := b.pod(e, serve, "good", append(slices.Clone(nodes), "--api-server-count", "1")...)
	if err != nil {
		return failed(err)
	}
	serve.probe = false
	workerPod, err := b.pod(e, serve, "good", append(slices.Clone(nodes), "--headless", "--data-parallel-start-rank", "1")...)
	if err != nil {
		return failed(err)
	}
	head, err := b.wrapped(ctx, name+" head", headPod, true)
	if err != nil {
		return failed(err)
	}
	worker, err := b.wrapped(ctx, name+" worker", workerPod, false)
	if err != nil {
		return failed(err)
	}
	_, at, err := worker.awaitLine(ctx, workerLine)
	if err == nil {
		err = head.awaitReady(ctx)
	}
	if err != nil {
		return failed(err)
	}
	o.own = at.Sub(worker.began)
	told, ok := worker.collector.WaitSpan(toldWithin, startup.SpanStartup)
	switch {
	case !ok:
		o.fault("nothing told of the worker")
	case told.Error != "":
		o.fault("the worker is told as failed: %s", told.Error)
	default:
		o.told = told.End.Sub(worker.began)
		if d := o.told - o.own; d.Abs() > bound {
			o.fault("the worker is told %s off", d)
		}
	}
	told, ok = head.collector.WaitSpan(toldWithin, startup.SpanStartup)
	switch d := told.End.Sub(head.readyAt); {
	case !ok || told.Error != "":
		o.fault("the head is not told as ready: %s", told.Error)
	case d.Abs() > bound:
		o.fault("the head is told %s off", d)
	default:
		o.note = fmt.Sprintf("the worker; the head's difference %.3f", d.Seconds())
	}
	return o
}

// otherCells are a server that no recipe knows: it is ready when it answers its probe, and ends as it would.
func otherCells() []cell {
	e := newest()
	return []cell{{name: "other/transformers serve", short: true, engine: e, run: func(ctx context.Context, b *bench) outcome {
		port, err := freeport.Find()
		if err != nil {
			return failed(err)
		}
		p := pod{
			command: []string{programBeside(b.python(e), "transformers"), "serve"}, args: []string{"--host", "127.0.0.1", "--port", strconv.Itoa(port)},
			image: "example.com/transformers:5", port: port, probe: true,
		}
		argv, env := b.bare(p)
		bare, err := b.launch(ctx, "other/transformers bare", argv, env, port)
		if err == nil {
			err = bare.awaitReady(ctx)
		}
		if err == nil {
			_, err = bare.stop(ctx, syscall.SIGTERM)
		}
		if err != nil {
			return failed(err)
		}
		return b.becomesReady(ctx, "other/transformers", p, func(o *outcome, s *server) {
			if _, err := s.stop(ctx, syscall.SIGTERM); err != nil || s.code() != bare.code() {
				o.fault("exit code %d bare, %d wrapped: %v", bare.code(), s.code(), err)
			}
		})
	}}}
}
