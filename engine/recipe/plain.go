// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"
)

// sampled is how much of a log's begin shows how it was written; it is also how much of a log is in memory at a time.
const sampled = 1 << 20

// maxWindow is how far back a zstd frame may refer: what its levels up to 19 use.
const maxWindow = 8 << 20

// unread are compressions that nothing here undoes.
var unread = map[string]string{"\xfd7zXZ": "xz", "BZh": "bzip2", "\x04\x22\x4d\x18": "lz4", "PK\x03\x04": "zip"}

// Plain is the text of a log, or of another file, whatever it was packed in: gzip, zstd, UTF-16 as PowerShell's > writes it.
func Plain(from io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(from, sampled)
	magic, err := in.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err //nolint:wrapcheck // the caller says of what
	}
	for begin, name := range unread {
		if bytes.HasPrefix(magic, []byte(begin)) {
			return nil, fmt.Errorf("compressed by %s: unpack it first", name)
		}
	}
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("unpack gzip: %w", err)
		}
		in = bufio.NewReaderSize(unpacked, sampled)
	case len(magic) == 8 && bytes.HasSuffix(magic, []byte(zstdMagic)):
		packed, err := newZstd(nil)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReaderSize(&messages{in: in, packed: packed}, sampled)
	case bytes.HasPrefix(magic, []byte(zstdMagic)):
		unpacked, err := newZstd(in)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReaderSize(unpacked, sampled)
	}
	return inUTF8(in), nil
}

const zstdMagic = "\x28\xb5\x2f\xfd"

func newZstd(in io.Reader) (*zstd.Decoder, error) {
	unpacked, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("unpack zstd: %w", err)
	}
	return unpacked, nil
}

// messages are a file of the collector's file exporter with compression: each has its length before it, in four bytes, and is
// packed by itself.
type messages struct {
	in     io.Reader
	packed *zstd.Decoder
	text   []byte // of the one at hand, and not read yet
	err    error  // why there is no other; whoever looks ahead must not take it away
}

// maxMessage is more than a collector accepts at once.
const maxMessage = 64 << 20

// Read reads a message a line.
func (m *messages) Read(into []byte) (int, error) {
	for len(m.text) == 0 {
		if m.err != nil {
			return 0, m.err
		}
		m.text, m.err = m.next()
	}
	n := copy(into, m.text)
	m.text = m.text[n:]
	return n, nil
}

// next unpacks a message; io.EOF: there is no more.
func (m *messages) next() ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(m.in, length[:]); err != nil {
		return nil, err //nolint:wrapcheck // whoever reads a log says so
	}
	size := binary.BigEndian.Uint32(length[:])
	if size > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes, where %d are the most", size, maxMessage)
	}
	frame := make([]byte, size)
	if _, err := io.ReadFull(m.in, frame); errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF // behind a length
	} else if err != nil {
		return nil, fmt.Errorf("read a message of %d bytes: %w", size, err)
	}
	text, err := m.packed.DecodeAll(frame, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack zstd: %w", err)
	}
	return append(text, '\n'), nil
}

// inUTF8 decodes UTF-16, of which the first character is a byte order mark, or else one of ASCII.
func inUTF8(in *bufio.Reader) *bufio.Reader {
	begin, _ := in.Peek(3) // what is shorter is no log
	order := unicode.LittleEndian
	switch {
	case bytes.HasPrefix(begin, []byte("\xef\xbb\xbf")):
		_, _ = in.Discard(3)
		return in
	case bytes.HasPrefix(begin, []byte("\xff\xfe")), len(begin) > 1 && begin[0] != 0 && begin[1] == 0:
	case bytes.HasPrefix(begin, []byte("\xfe\xff")), len(begin) > 1 && begin[0] == 0 && begin[1] != 0:
		order = unicode.BigEndian
	default:
		return in
	}
	return bufio.NewReaderSize(unicode.UTF16(order, unicode.UseBOM).NewDecoder().Reader(in), sampled)
}
