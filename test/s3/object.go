// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/md5"
	"encoding/binary"
	"hash/fnv"
	"io"
	"math/rand/v2"
)

// Object is a file in the bucket: some bytes of its own, then noise that its name decides.
type Object struct {
	Key  string
	Size int64
	head []byte
	seed uint64
}

func newText(key, text string) *Object {
	return &Object{Key: key, Size: int64(len(text)), head: []byte(text)}
}

func newNoise(key string, head []byte, size int64) *Object {
	h := fnv.New64a()
	h.Write([]byte(key))
	return &Object{Key: key, Size: size, head: head, seed: h.Sum64()}
}

// ETag is made of the key and the size alone: as with S3's own multipart uploads, it is not the MD5 of the content.
func (o *Object) ETag() []byte {
	sum := md5.Sum(binary.BigEndian.AppendUint64([]byte(o.Key), uint64(o.Size)))
	return sum[:]
}

// noise is repeated in every object, each starting at a place of its own: making bytes must never be slower than
// sending them. Its length is odd so that shards of round sizes still differ.
var noise = func() []byte {
	b := make([]byte, 1<<20+7)
	src := rand.NewChaCha8([32]byte{'c', 'o', 'l', 'd'})
	src.Read(b) //nolint:errcheck // ChaCha8 does not fail
	return b
}()

// ReadAt reads the object from off.
func (o *Object) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < o.Size {
		from := o.at(off)
		room := min(int64(len(p)-n), int64(len(from)), o.Size-off)
		copy(p[n:], from[:room])
		n, off = n+int(room), off+room
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// at returns some bytes of the object from off on.
func (o *Object) at(off int64) []byte {
	if off < int64(len(o.head)) {
		return o.head[off:]
	}
	return noise[(o.seed+uint64(off))%uint64(len(noise)):]
}
