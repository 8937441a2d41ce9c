// SPDX-License-Identifier: Apache-2.0

package podlog

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

var dawn = time.Date(2026, 5, 1, 6, 0, 0, 0, time.UTC)

// stamped is a line as the kubelet answers with it, so many milliseconds after dawn.
func stamped(ms int, text string) string {
	return dawn.Add(time.Duration(ms)*time.Millisecond).Format(time.RFC3339Nano) + " " + text
}

// answers is an API server that answers for one log as the real one does: from a whole second on, up to so many bytes.
func answers(t *testing.T, log *string) kubernetes.Interface {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("timestamps") != "true" || q.Get("container") != "main" || r.URL.Path != "/api/v1/namespaces/models/pods/llama/log" {
			t.Errorf("asked for %s", r.URL)
		}
		from := *log
		if since, err := time.Parse(time.RFC3339, q.Get("sinceTime")); err == nil {
			lines := slices.DeleteFunc(slices.Collect(strings.Lines(from)), func(line string) bool {
				stamp, _, _ := strings.Cut(line, " ")
				at, err := time.Parse(time.RFC3339Nano, stamp)
				return err != nil || at.Before(since)
			})
			from = strings.Join(lines, "")
		}
		if limit, err := strconv.Atoi(q.Get("limitBytes")); err == nil {
			from = from[:min(limit, len(from))]
		}
		_, _ = w.Write([]byte(from))
	}))
	t.Cleanup(server.Close)
	return kubernetes.NewForConfigOrDie(&rest.Config{Host: server.URL})
}

func TestALogIsReadInPartsWithoutALineLostOrTwice(t *testing.T) {
	log := ""
	client := answers(t, &log)
	target := Target{Namespace: "models", Pod: "llama", Container: "main"}
	var place Place
	read := func(r Request, want ...string) Answer {
		t.Helper()
		var got []string
		r.After = place
		a, err := target.Read(t.Context(), client, r, func(at time.Time, text []byte) bool {
			got = append(got, fmt.Sprintf("%d %s", at.Sub(dawn).Milliseconds(), text))
			return true
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("read %q, want %q (%v)", got, want, err)
		}
		place = a.Place
		return a
	}
	read(Request{GoesOn: true})
	log = stamped(100, "one\n") + stamped(1900, "two\n") + stamped(1900, "same stamp\n") + stamped(1950, "half a li")
	if a := read(Request{GoesOn: true}, "100 one", "1900 two", "1900 same stamp"); !a.Open {
		t.Error("nobody says that the last line has no end")
	}
	log += "ne\n" + "no stamp at all\n" + stamped(1950, "same again\r\n")
	if a := read(Request{GoesOn: true}, "1950 half a line", "1950 same again"); a.Open {
		t.Error("the last line has an end")
	}
	read(Request{GoesOn: true})
	log += stamped(1950, "and once more\n") + stamped(5000, "last words")
	read(Request{GoesOn: true}, "1950 and once more")
	read(Request{}, "5000 last words")
	read(Request{Skew: time.Second})

	place = Place{}
	if a := read(Request{MaxBytes: 45, Skew: time.Second}, "1100 one"); !a.Cut {
		t.Error("nobody says that it was cut")
	}
	log = stamped(0, strings.Repeat("x", 200<<10)+"\n") + stamped(10, "after\n")
	place = Place{}
	var lengths []int
	_, err := target.Read(t.Context(), client, Request{}, func(_ time.Time, text []byte) bool { lengths = append(lengths, len(text)); return true })
	if err != nil || len(lengths) != 2 || lengths[0] > longLine || lengths[1] != len("after") {
		t.Errorf("a long line: %v, %v", lengths, err)
	}
}

func TestALogIsReadNoFurtherThanItIsWanted(t *testing.T) {
	log := stamped(0, "one\n") + stamped(1, "two\n") + stamped(2, "three\n")
	client := answers(t, &log)
	target := Target{Namespace: "models", Pod: "llama", Container: "main"}
	n := 0
	if _, err := target.Read(t.Context(), client, Request{}, func(time.Time, []byte) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestAKubeletThatDoesNotAnswerIsGivenUp(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"silence from the begin": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"silence after a line": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(stamped(0, "one\n")))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"a connection that is reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"an answer that breaks off": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(stamped(0, "one\n") + stamped(1, "tw")))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(answer))
			defer server.Close()
			client := kubernetes.NewForConfigOrDie(&rest.Config{Host: server.URL})
			target := Target{Namespace: "models", Pod: "llama", Container: "main"}
			var lines []string
			a, err := target.Read(t.Context(), client, Request{Within: 300 * time.Millisecond}, func(_ time.Time, text []byte) bool {
				lines = append(lines, string(text))
				return true
			})
			if err == nil || len(lines) > 1 || len(lines) == 1 && (lines[0] != "one" || !a.Place.at.Equal(dawn)) {
				t.Errorf("%q, %v, %v", lines, a.Place.at, err)
			}
			if strings.HasPrefix(name, "silence") != errors.Is(err, errSilent) {
				t.Errorf("the error is %v", err)
			}
			if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
