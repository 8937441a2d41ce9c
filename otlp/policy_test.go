// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

var protocols = []string{startup.ProtocolGRPC, startup.ProtocolHTTP}

// export makes one attempt.
func export(t *testing.T, endpoint, protocol string) error {
	t.Helper()
	e, err := otlp.NewExporter(t.Context(), otlp.ExporterConfig{Endpoint: endpoint, Protocol: protocol, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	err = e.ExportSpans(t.Context(), subject, aStart())
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	return err
}

func TestARefusalIsFinalWhereOTLPSaysSo(t *testing.T) {
	type refusals = map[error]bool // whether it is final
	web := func(code int) error { return &otlptest.Refusal{Status: code} }
	for protocol, all := range map[string]refusals{
		startup.ProtocolHTTP: {
			web(400): true, web(401): true, web(403): true, web(404): true, web(405): true, web(413): true, web(500): true, web(501): true,
			web(307): true, web(429): false, web(502): false, web(503): false, web(504): false,
		},
		startup.ProtocolGRPC: {
			status.Error(codes.InvalidArgument, "x"): true, status.Error(codes.NotFound, "x"): true, status.Error(codes.AlreadyExists, "x"): true,
			status.Error(codes.PermissionDenied, "x"): true, status.Error(codes.Unauthenticated, "x"): true,
			status.Error(codes.FailedPrecondition, "x"): true, status.Error(codes.Unimplemented, "x"): true,
			status.Error(codes.ResourceExhausted, "grpc: received message larger than max (5 vs. 4)"): true,
			status.Error(codes.Canceled, "x"): false, status.Error(codes.DeadlineExceeded, "x"): false,
			status.Error(codes.Aborted, "x"): false, status.Error(codes.OutOfRange, "x"): false, status.Error(codes.Unavailable, "x"): false,
			status.Error(codes.DataLoss, "x"): false, status.Error(codes.ResourceExhausted, "x"): false, status.Error(codes.Unknown, "x"): false,
		},
	} {
		for refusal, final := range all {
			r := otlptest.New(t)
			r.Answer = func() error { return refusal }
			err := export(t, place(r, protocol, false), protocol)
			if err == nil || otlp.Permanent(err) != final {
				t.Errorf("%s: %v: final is %v", protocol, err, !final)
			}
		}
	}
}

func TestAPartialSuccessIsNotRepeated(t *testing.T) {
	for _, protocol := range protocols {
		for _, rejected := range []int64{0, 1} {
			r := otlptest.New(t)
			r.Answer = func() error { return &otlptest.Partial{Rejected: rejected, Message: "a word"} }
			err := export(t, place(r, protocol, false), protocol)
			if (err == nil) != (rejected == 0) || err != nil && !otlp.Permanent(err) || len(r.Spans()) != 2 {
				t.Errorf("%s, %d rejected: %v", protocol, rejected, err)
			}
		}
	}
}

func TestAnAnswerThatIsNoneIsNotRepeatedAndDoesNotFillMemory(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"junk that says it is protobuf": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			_, _ = w.Write([]byte("<html>not a message</html>"))
		},
		"endless junk": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			for chunk := make([]byte, 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"an endless refusal": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			for chunk := make([]byte, 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
	} {
		s := httptest.NewServer(handler)
		if err := export(t, s.URL, startup.ProtocolHTTP); err == nil || !otlp.Permanent(err) || len(err.Error()) > 10_000 {
			t.Errorf("%s: %.200v", name, err)
		}
		s.Close()
	}
}

// speaker is a server that says something to whoever connects, and then reads until the other end is closed.
func speaker(t *testing.T, words string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = conn.Write([]byte(words))
				for buf := make([]byte, 1024); ; {
					if _, err := conn.Read(buf); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestAServerThatSpeaksSomethingElseIsTriedAgain(t *testing.T) {
	for name, words := range map[string]string{
		"plain text": "220 mail ready\r\n", "HTTP/1.1": "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "nothing": "",
		"binary junk": strings.Repeat("\x00\xff\x17", 10_000),
	} {
		address := speaker(t, words)
		if err := export(t, "http://"+address, startup.ProtocolGRPC); err == nil || otlp.Permanent(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := export(t, "https://"+otlptest.New(t).GRPC, startup.ProtocolGRPC); err == nil || otlp.Permanent(err) {
		t.Errorf("TLS to a server of plain text: %v", err)
	}
}

// attempts lets a receiver refuse, and returns when it was asked.
func attempts(r *otlptest.Receiver, refusal error) func() []time.Time {
	var (
		mu  sync.Mutex
		all []time.Time
	)
	r.Answer = func() error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, time.Now())
		if len(all) < 4 {
			return refusal
		}
		return nil
	}
	return func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func TestRetriesComeMoreAndMoreSlowly(t *testing.T) {
	r := otlptest.New(t)
	when := attempts(r, status.Error(codes.Unavailable, "later"))
	q := newQueue(t, "http://"+r.GRPC, func(int) {})
	q.Spans(subject, aStart()...)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := q.Wait(ctx); err != nil || len(r.Spans()) != 2 {
		t.Fatalf("%v, %d spans", err, len(r.Spans()))
	}
	for i, least := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
		if gap := when()[i+1].Sub(when()[i]); gap < least {
			t.Errorf("attempt %d came after %v, before %v", i+2, gap, least)
		}
	}
}

func TestAReceiverThatAsksForTimeIsGivenIt(t *testing.T) {
	asking, err := status.New(codes.ResourceExhausted, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	for protocol, refusal := range map[string]error{
		startup.ProtocolHTTP: &otlptest.Refusal{Status: http.StatusTooManyRequests, RetryAfter: "1"},
		startup.ProtocolGRPC: asking.Err(),
	} {
		t.Run(strings.ReplaceAll(protocol, "/", " "), func(t *testing.T) {
			t.Parallel()
			r := otlptest.New(t)
			when := attempts(r, refusal)
			e, err := otlp.NewExporter(t.Context(), otlp.ExporterConfig{Endpoint: place(r, protocol, false), Protocol: protocol})
			if err != nil {
				t.Fatal(err)
			}
			q := otlp.NewQueue(e, func(int) {})
			q.Spans(subject, aStart()...)
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if err := q.Close(ctx); err != nil || len(r.Spans()) != 2 { // even while somebody waits
				t.Errorf("%v, %d spans", err, len(r.Spans()))
			}
			for i, at := range when()[1:] {
				if gap := at.Sub(when()[i]); gap < 990*time.Millisecond {
					t.Errorf("asked again after %v", gap)
				}
			}
		})
	}
}

func TestClosingIsBoundedWhateverTheReceiverDoes(t *testing.T) {
	stuck := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	defer slow.Close()
	defer close(stuck)
	hole := speaker(t, "")
	throttling := otlptest.New(t)
	throttling.Answer = func() error { return &otlptest.Refusal{Status: 429, RetryAfter: strconv.Itoa(1 << 20)} }
	for name, c := range map[string][2]string{
		"refuses": {"http://127.0.0.1:1", startup.ProtocolGRPC}, "says nothing": {"http://" + hole, startup.ProtocolGRPC},
		"does not answer": {slow.URL, startup.ProtocolHTTP}, "asks for days": {throttling.HTTP, startup.ProtocolHTTP},
	} {
		e, err := otlp.NewExporter(t.Context(), otlp.ExporterConfig{Endpoint: c[0], Protocol: c[1]})
		if err != nil {
			t.Fatal(err)
		}
		var dropped atomic.Int64
		q := otlp.NewQueue(e, counting(&dropped))
		for range 100 {
			q.Spans(subject, aStart()...)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		began := time.Now()
		err = q.Close(ctx)
		cancel()
		if took := time.Since(began); err == nil || took > 3*time.Second || dropped.Load() != 200 || q.Len() != 0 {
			t.Errorf("a receiver that %s: %v after %v, %d dropped", name, err, took, dropped.Load())
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAReceiverThatComesBackGetsWhatIsOwedOnceEach(t *testing.T) {
	for _, protocol := range protocols {
		r := otlptest.New(t)
		var mu sync.Mutex
		down := true
		r.Answer = func() error {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return status.Error(codes.Unavailable, "later")
			}
			return nil
		}
		e, err := otlp.NewExporter(t.Context(), otlp.ExporterConfig{Endpoint: place(r, protocol, false), Protocol: protocol})
		if err != nil {
			t.Fatal(err)
		}
		var dropped atomic.Int64
		q := otlp.NewQueue(e, counting(&dropped))
		for i := range 50 {
			s := aStart()[0]
			s.Name = strconv.Itoa(i)
			q.Spans(subject, s)
		}
		mu.Lock()
		down = false
		mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := q.Close(ctx); err != nil || len(r.Spans()) != 50 || dropped.Load() != 0 {
			t.Errorf("%s: %v, %d spans, %d dropped", protocol, err, len(r.Spans()), dropped.Load())
		}
		cancel()
		seen := map[string]bool{}
		for _, s := range r.Spans() {
			if seen[s.Name] {
				t.Errorf("%s: span %s came twice", protocol, s.Name)
			}
			seen[s.Name] = true
		}
	}
}
