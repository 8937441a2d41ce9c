// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// Bounds of a checkpoint, so that both parts fit into a ConfigMap (1 MiB) and into etcd's requests (1.5 MiB).
const (
	maxRecent      = 25000 // 20 bytes each
	maxStartsBytes = 400 << 10
)

// Keys of the checkpoint's ConfigMap.
const (
	startsKey    = "starts.jsonl.gz" // the record, then a line for each start
	deliveredKey = "delivered.bin"
)

// record is a checkpoint: the starts in flight with the spans that were delivered of them, and the starts that were
// delivered as a whole. The latter need be remembered only as long as a start can take: an older pod is over by
// definition, delivered or not.
type record struct {
	Version    int            `json:"version"`
	Floor      time.Time      `json:"floor"` // pods created before are over and done, unless they are in Starts
	Namespaces []string       `json:"namespaces"`
	Members    []group.Member `json:"members,omitempty"` // of groups that go on, whose own starts are over
	Starts     []startRecord  `json:"-"`
	// recent are delivered, of pods created since Floor: when that was, in Unix seconds.
	recent map[uid]uint32
}

type startRecord struct {
	pod.Stub
	Subject   startup.Subject `json:"subject,omitzero"`
	Delivered []keyHash       `json:"delivered,omitempty"`
	Timeout   time.Duration   `json:"timeout"`
	Quiet     bool            `json:"quiet,omitempty"`
}

const recordVersion = 2

func (r *record) delivered(id types.UID) bool {
	_, ok := r.recent[parseUID(id)]
	return ok
}

func (r *record) before(created time.Time) bool { return created.Before(r.Floor) }

func (r *record) knows(namespace string) bool { return slices.Contains(r.Namespaces, namespace) }

// encode gives the two parts. When the starts in flight are too many, those created last go first: it is they whose
// spans are the fewest, and all a lost record costs is that spans are sent twice.
func (r *record) encode() (map[string][]byte, int, error) {
	left := r.Starts
	slices.SortFunc(left, func(a, b startRecord) int { return cmp.Compare(a.Created, b.Created) })
	for {
		part := *r
		part.Starts = left
		data, err := compress(&part)
		if err != nil {
			return nil, 0, err
		}
		if len(data) <= maxStartsBytes || len(left) == 0 {
			return map[string][]byte{startsKey: data, deliveredKey: r.encodeRecent()}, len(r.Starts) - len(left), nil
		}
		left = left[:len(left)*3/4]
	}
}

func compress(r *record) ([]byte, error) {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress the checkpoint: %w", err)
	}
	// A line at a time: an encoder holds the whole text of what it is given.
	lines := json.NewEncoder(zip)
	err = lines.Encode(r)
	for i := range r.Starts {
		err = errors.Join(err, lines.Encode(&r.Starts[i]))
	}
	if err != nil {
		return nil, fmt.Errorf("encode the checkpoint: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("compress the checkpoint: %w", err)
	}
	return out.Bytes(), nil
}

func (r *record) encodeRecent() []byte {
	ids := slices.SortedFunc(maps.Keys(r.recent), func(a, b uid) int { return bytes.Compare(a[:], b[:]) })
	out := make([]byte, 0, 20*len(ids))
	for _, id := range ids {
		out = append(out, id[:]...)
		out = binary.BigEndian.AppendUint32(out, r.recent[id])
	}
	return out
}

func newRecord() *record { return &record{Version: recordVersion, recent: map[uid]uint32{}} }

func decodeRecord(data map[string][]byte) (*record, error) {
	zip, err := gzip.NewReader(bytes.NewReader(data[startsKey]))
	if err != nil {
		return nil, fmt.Errorf("decompress the checkpoint: %w", err)
	}
	r := &record{recent: map[uid]uint32{}}
	lines := json.NewDecoder(bufio.NewReader(io.LimitReader(zip, 64<<20)))
	if err := lines.Decode(r); err != nil {
		return nil, fmt.Errorf("decode the checkpoint: %w", err)
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("the checkpoint has version %d, not %d", r.Version, recordVersion)
	}
	for {
		var s startRecord
		err := lines.Decode(&s)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("decode the checkpoint's starts: %w", err)
		}
		r.Starts = append(r.Starts, s)
	}
	for b := data[deliveredKey]; len(b) >= 20; b = b[20:] {
		r.recent[uid(b[:16])] = binary.BigEndian.Uint32(b[16:])
	}
	return r, nil
}

// trim forgets deliveries that Floor covers, and raises Floor when there are too many.
func (r *record) trim(floor time.Time) {
	if floor.After(r.Floor) {
		r.Floor = floor
	}
	if len(r.recent) > maxRecent {
		created := slices.Sorted(maps.Values(r.recent))
		if raised := time.Unix(int64(created[len(created)-maxRecent*3/4]), 0); raised.After(r.Floor) {
			r.Floor = raised
		}
	}
	maps.DeleteFunc(r.recent, func(_ uid, created uint32) bool { return time.Unix(int64(created), 0).Before(r.Floor) })
}
