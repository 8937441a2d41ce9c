// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bufio"
	"bytes"
	"compress/gzip"
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
	magic, err := in.Peek(6)
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
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		unpacked, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("unpack zstd: %w", err)
		}
		in = bufio.NewReaderSize(unpacked, sampled)
	}
	return inUTF8(in), nil
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
