// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"
)

// each makes something of each line of a log, of which the n-th was collected two minutes late, and n seconds.
func each(log string, of func(n int, at time.Time, line string) any) string {
	var out strings.Builder
	n := 0
	for line := range strings.Lines(log) {
		made := of(n, noon.Add(2*time.Minute+time.Duration(n)*time.Second), strings.TrimSuffix(line, "\n"))
		if text, ok := made.(string); ok {
			out.WriteString(text)
		} else {
			raw, err := json.Marshal(made)
			if err != nil {
				panic(err) // strings and times can be encoded
			}
			out.Write(raw)
		}
		out.WriteByte('\n')
		n++
	}
	return out.String()
}

type object = map[string]any

func array(lines string, newestFirst bool) string {
	of := strings.Split(strings.TrimSpace(lines), "\n")
	if newestFirst {
		slices.Reverse(of)
	}
	return "[\n  " + strings.Join(of, ",\n  ") + "\n]\n"
}

// otlpLog is a line as a collector's file exporter writes it.
func otlpLog(at time.Time, line string) object {
	nanos := strconv.FormatInt(at.UnixNano(), 10)
	record := object{"timeUnixNano": nanos, "observedTimeUnixNano": nanos, "body": object{"stringValue": line}, "attributes": []object{{"key": "logtag", "value": object{"stringValue": "F"}}}, "traceId": ""}
	return object{"resourceLogs": []object{{"resource": object{"attributes": []object{{"key": "k8s.pod.name", "value": object{"stringValue": "p"}}}}, "scopeLogs": []object{{"scope": object{}, "logRecords": []object{record}}}}}}
}

func packed(t *testing.T, log string, by func(io.Writer) (io.WriteCloser, error)) string {
	t.Helper()
	var out bytes.Buffer
	w, err := by(&out)
	if err == nil {
		_, err = io.WriteString(w, log)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestALogIsReadHoweverItWasPackedOrExported(t *testing.T) {
	log := (start + finish)[1:]
	cloud := func(_ int, at time.Time, line string) any {
		return object{"insertId": "1", "labels": object{"k8s-pod/app": strings.Repeat("x", 300)}, "resource": object{}, "textPayload": line + "\n", "timestamp": at, "receiveTimestamp": at}
	}
	watch := func(_ int, at time.Time, line string) any {
		return object{"timestamp": at.UnixMilli(), "message": line, "ingestionTime": at.UnixMilli()}
	}
	var pairs [][]string
	each(log, func(_ int, at time.Time, line string) any {
		pairs = append(pairs, []string{strconv.FormatInt(at.UnixNano(), 10), line})
		return ""
	})
	loki, err := json.Marshal(object{"status": "success", "data": object{"resultType": "streams", "result": []any{object{"stream": object{"pod": "p"}, "values": pairs}}}})
	if err != nil {
		t.Fatal(err)
	}
	wide := func(order unicode.Endianness, bom unicode.BOMPolicy) string {
		out, err := unicode.UTF16(order, bom).NewEncoder().String(strings.ReplaceAll(log, "\n", "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	azure := each(log, func(_ int, at time.Time, line string) any {
		return object{"TimeGenerated": at.Format("2006-01-02T15:04:05.0000000Z"), "LogMessage": line, "PodName": "p", "TableName": "PrimaryResult"}
	})
	shuffled := strings.Split(strings.TrimSpace(azure), "\n")
	shuffled[0], shuffled[1], shuffled[4], shuffled[7] = shuffled[7], shuffled[4], shuffled[1], shuffled[0]
	var rows, cells []any
	each(log, func(_ int, at time.Time, line string) any {
		rows = append(rows, []object{{"field": "@timestamp", "value": at.Format("2006-01-02 15:04:05.000")}, {"field": "@message", "value": line}, {"field": "@ptr", "value": "x"}})
		cells = append(cells, []any{"p", at, line})
		return ""
	})
	query := each("x", func(int, time.Time, string) any {
		return object{"queryLanguage": "CWLI", "results": rows, "statistics": object{"recordsMatched": 9}, "status": "Complete"}
	})
	tables := each("x", func(int, time.Time, string) any {
		return object{"tables": []any{object{"name": "PrimaryResult", "columns": []object{{"name": "PodName", "type": "string"}, {"name": "TimeGenerated", "type": "datetime"}, {"name": "LogMessage", "type": "dynamic"}}, "rows": cells}}}
	})
	hits := strings.ReplaceAll(array(each(log, func(_ int, at time.Time, line string) any {
		return object{"_index": "x", "_source": object{"@timestamp": at, "message": line, "padding": strings.Repeat("x", sampled/6)}}
	}), true), "\n", "")
	want, err := ReadLog(strings.NewReader(log), LogOptions{Now: noon.Add(time.Hour), Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	for name, log := range map[string]string{
		"gzip":                                packed(t, log, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }),
		"zstd":                                packed(t, log, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
		"UTF-16, as PowerShell writes it":     wide(unicode.LittleEndian, unicode.UseBOM),
		"UTF-16, big end first":               wide(unicode.BigEndian, unicode.UseBOM),
		"UTF-16, without a mark":              wide(unicode.LittleEndian, unicode.IgnoreBOM),
		"UTF-8 with a mark":                   "\ufeff" + log,
		"UTF-16 in gzip":                      packed(t, wide(unicode.LittleEndian, unicode.UseBOM), func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }),
		"Cloud Logging's lines":               each(log, cloud),
		"Cloud Logging's array, newest first": array(each(log, cloud), true),
		"Cloud Logging's array":               array(each(log, cloud), false),
		"Cloud Logging's lines, newest first": strings.Trim(strings.ReplaceAll(array(each(log, cloud), true), ",\n  ", "\n"), "[]\n "),
		"Cloud Logging's, of lines in JSON": each(log, func(_ int, at time.Time, line string) any {
			return object{"insertId": "1", "jsonPayload": object{"message": line, "stream": "stderr"}, "timestamp": at}
		}),
		"OTLP's lines":          each(log, func(_ int, at time.Time, line string) any { return otlpLog(at, line) }),
		"CloudWatch's lines":    each(log, watch),
		"CloudWatch's document": "{\n\"events\": " + array(each(log, watch), false) + ",\"nextForwardToken\": \"f/1\"}\n",
		"CloudWatch's, of a collector's lines": each(log, func(n int, at time.Time, line string) any {
			return watch(n, at, string(dockerLine([]byte(line), true)))
		}),
		"CloudWatch's, of containerd's lines": each(log, func(n int, at time.Time, line string) any {
			return watch(n, at, strings.TrimSuffix(string(containerdLine([]byte(line), true)), "\n"))
		}),
		"CloudWatch Insights'": each(log, func(_ int, at time.Time, line string) any {
			return object{"@timestamp": at.Format("2006-01-02 15:04:05.000"), "@message": line, "@ptr": "x"}
		}),
		"logcli's lines": each(log, func(_ int, at time.Time, line string) any {
			return object{"labels": object{"pod": "p"}, "line": line, "timestamp": at}
		}),
		"Grafana's document": array(each(log, func(_ int, at time.Time, line string) any {
			return object{"line": line, "timestamp": strconv.FormatInt(at.UnixNano(), 10), "date": at, "fields": object{"pod": "p"}, "labels": object{}}
		}), false),
		"Loki's answer": string(loki) + "\n",
		"Elasticsearch's": each(log, func(_ int, at time.Time, line string) any {
			return object{"_index": "x", "_source": object{"@timestamp": at, "message": line}}
		}),
		"journalctl -o json": each(log, func(_ int, at time.Time, line string) any {
			return object{"__REALTIME_TIMESTAMP": strconv.FormatInt(at.UnixMicro(), 10), "MESSAGE": line, "_HOSTNAME": "n"}
		}),
		"a query's results of CloudWatch Insights":               query,
		"Azure's rows, in no order":                              array(strings.Join(shuffled, "\n"), false),
		"Azure's rows, newest first":                             array(azure, true),
		"Azure's tables":                                         tables,
		"Elasticsearch's answer, newest first, of one long line": `{"took":5,"hits":{"total":{"value":8},"hits":` + hits + "}}\n",
		"Datadog's answer": `{"data":` + array(each(log, func(_ int, at time.Time, line string) any {
			return object{"id": "x", "type": "log", "attributes": object{"timestamp": at, "message": line, "tags": []string{"pod_name:p"}}}
		}), true) + "}",
		"stern's lines": each(log, func(_ int, _ time.Time, line string) any {
			return object{"message": line, "namespace": "n", "podName": "p", "containerName": "c"}
		}),
		"an array of lines": array(each(log, func(_ int, _ time.Time, line string) any {
			raw, err := json.Marshal(line)
			if err != nil {
				panic(err) // a string can be encoded
			}
			return string(raw)
		}), false),
		"objects over many lines": strings.ReplaceAll(strings.ReplaceAll(each(log, cloud), "{", "{\n"), ",\"", ",\n\""),
		"two keys":                each(log, func(_ int, at time.Time, line string) any { return object{"time": at, "log": line} }),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadLog(strings.NewReader(log), LogOptions{Now: noon.Add(time.Hour), Location: time.UTC})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Phases, want.Phases) || !reflect.DeepEqual(got.Figures, want.Figures) || got.Outcome != want.Outcome {
				t.Errorf("%s %v\n%v, want %s\n%v", got.Outcome, edges(got), got.Figures, want.Outcome, edges(want))
			}
		})
	}
}

func TestTheYearOfAnExportIsItsCollectors(t *testing.T) {
	log := each((start + finish)[1:], func(_ int, at time.Time, line string) any {
		return object{"timestamp": at.AddDate(-2, 0, 0).UnixMilli(), "message": line, "ingestionTime": 1}
	})
	if init := initOf(t, log); init.Start.Year() != noon.Year()-2 {
		t.Error(init.Start)
	}
}

func TestAnExportedLineWithoutATimeOfItsOwnHasItsCollectors(t *testing.T) {
	log := each("vLLM API server version 0.13.0\nStarting to load model m\nModel loading took 1.5 GiB memory and 1.000000 seconds\n", func(n int, at time.Time, line string) any {
		return object{"timestamp": at.Add(time.Duration(n) * time.Second), "textPayload": line}
	})
	got, err := ReadLog(strings.NewReader(log), LogOptions{Now: noon.Add(time.Hour), Location: time.UTC})
	if is, want := edges(got), (map[string]string{"engine_config": "120.00-122.00", "model_load": "122.00-124.00"}); err != nil || got.Untimed || is["engine_config"] != want["engine_config"] {
		t.Errorf("%v %v, want %v", err, is, want)
	}
}

func TestWhatAnEngineWritesInJSONIsNoExport(t *testing.T) {
	for _, line := range []string{
		`{"timestamp":"2026-03-01T12:00:00.1Z","level":"INFO","fields":{"message":"Starting Webserver"},"target":"text_generation_router"}`,
		`{"timestamp":"2026-03-01T12:00:00.1Z","level":"INFO","message":"Args { model_id: m }","target":"text_generation_launcher"}`,
		`{"message":"vLLM API server version 0.13.0","level":"INFO","process":7}`,
		`{"log":"not a runtime's"}`, `{}`, `{"message":1,"timestamp":2}`,
	} {
		if got := unwrapped(t, []byte(line+"\n"+line+"\n")); got != line+"\n"+line+"\n" {
			t.Errorf("%s\nbecame\n%s", line, got)
		}
	}
}

func TestWhatCannotBeUnpackedSaysWhy(t *testing.T) {
	for name, c := range map[string]struct{ log, says string }{
		"xz":    {"\xfd7zXZ\x00\x00", "xz"},
		"bzip2": {"BZh91AY&SY", "bzip2"},
		"gzip that is cut off before an engine speaks": {packed(t, start, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })[:12], io.ErrUnexpectedEOF.Error()},
		"a long document, the newest first":            {array(long(t), true), errDocument.Error()},
		"an entry without an end":                      {`[{"message":"a"},{"message":"` + strings.Repeat("x", maxDocument+1<<20) + `"}]`, errEntry.Error()},
		"what no log needs, without an end":            {`{"events":[],"query":"` + strings.Repeat("x", maxDocument+1<<20) + `","more":[]}`, errEntry.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadLog(strings.NewReader(c.log), LogOptions{}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := ReadLog(iotest.ErrReader(os.ErrClosed), LogOptions{}); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

// long are an export's lines of a start, longer than a document may be that is sorted.
func long(t *testing.T) string {
	t.Helper()
	var filler strings.Builder
	for i := range 6_000 { // few and long: what a line costs is not the matter
		fmt.Fprintf(&filler, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:05 [x.py:%d] %s\n", i, strings.Repeat("nothing ", 190))
	}
	out := each(start+filler.String()+finish, func(n int, at time.Time, line string) any {
		return object{"insertId": strconv.Itoa(n), "timestamp": at.Format(time.RFC3339Nano), "textPayload": line}
	})
	if len(out) < maxDocument+1<<20 {
		t.Fatalf("%d bytes are not long", len(out))
	}
	return out
}

func TestALongDocumentIsReadAsItStands(t *testing.T) {
	want := readText(t, start+finish)
	lines := long(t)
	list := strings.Join(strings.Split(strings.TrimSpace(lines), "\n"), ",")
	for name, log := range map[string]string{
		"an array":            array(lines, false),
		"a list in an object": `{"nextToken":"x","events":[` + list + `]}`,
		"several lists":       `[{"events":[` + list + `]}]`,
		"one that is cut off": array(lines, false)[:maxDocument+1<<20],
	} {
		t.Run(name, func(t *testing.T) {
			got := readText(t, log)
			if cut := name == "one that is cut off"; cut != (got.Outcome == OutcomeTruncated) || !cut && !reflect.DeepEqual(got.Figures, want.Figures) {
				t.Errorf("%s %v, want %v", got.Outcome, got.Figures, want.Figures)
			}
		})
	}
}

// The collector's file exporter packs each request by itself: a file may be cut within one, or behind its length.
func TestMessagesThatAreCutShortAreSaidToBe(t *testing.T) {
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer packer.Close()
	var file []byte
	for _, text := range []string{"one", "two"} {
		frame := packer.EncodeAll([]byte(text), nil)
		file = append(binary.BigEndian.AppendUint32(file, uint32(len(frame))), frame...) //nolint:gosec // short
	}
	second := len(file) / 2
	for name, c := range map[string]struct {
		upTo int
		want string
		err  error
	}{
		"whole":               {len(file), "one\ntwo\n", nil},
		"between two":         {second, "one\n", nil},
		"within the first":    {second - 1, "", io.ErrUnexpectedEOF},
		"within a length":     {second + 2, "one\n", io.ErrUnexpectedEOF},
		"behind a length":     {second + 4, "one\n", io.ErrUnexpectedEOF},
		"within the last one": {len(file) - 1, "one\n", io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := Plain(bytes.NewReader(file[:c.upTo]))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(in); string(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%q and %v, want %q and %v", got, err, c.want, c.err)
			}
		})
	}
}

func TestAPackedLogThatIsCutShortIsReadAsFarAsItGoes(t *testing.T) {
	log := long(t)
	for name, by := range map[string]func(io.Writer) (io.WriteCloser, error){
		"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	} {
		t.Run(name, func(t *testing.T) {
			whole := packed(t, log, by)
			if got := readText(t, whole[:len(whole)/2]); !got.Cut || got.Outcome != OutcomeTruncated || got.Version != "0.13.0" {
				t.Errorf("%+v", got)
			}
			if got := readText(t, whole); got.Cut || got.Outcome != OutcomeReady {
				t.Errorf("%+v", got)
			}
		})
	}
}

func FuzzExports(f *testing.F) {
	f.Add([]byte(`[{"insertId":"1","timestamp":"2026-03-01T12:00:00Z","textPayload":"x"}]`))
	f.Add([]byte(`{"data":{"result":[{"stream":{},"values":[["1772366400000000000","INFO 03-01 12:00:00 x"]]}]}}`))
	f.Add([]byte(`{"timestamp":1e300,"message":"{\"message\":\"x\",\"timestamp\":1}","ingestionTime":1}` + "\n"))
	f.Add([]byte("\xff\xfea\x00"))
	f.Fuzz(func(t *testing.T, log []byte) {
		got, err := ReadLog(bytes.NewReader(log), LogOptions{Now: noon, Location: time.UTC})
		if err == nil {
			checkPhases(t, got)
		}
	})
}
