// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
)

// inputLine is one of the input, and its spans, if it could be read quickly.
type inputLine struct {
	text    []byte
	spans   []*Span
	quickly bool
}

// block is as many whole lines of the input as are read at a time by one processor.
type block struct {
	text  []byte
	lines chan []inputLine // once they are read
}

// blockSize is small beside what is kept of a large input, and large beside a line.
const blockSize = 1 << 20

// eachLine takes the lines of r in their order. They are read quickly (see otlpReader.line) on all processors at once.
func eachLine(r io.Reader, without []string, take func(inputLine)) error {
	var (
		failed  error
		readers = runtime.GOMAXPROCS(0)
		ordered = make(chan block, readers)
		unread  = make(chan block)
	)
	go func() {
		defer close(ordered)
		defer close(unread)
		failed = cutLines(r, func(text []byte) {
			b := block{text, make(chan []inputLine, 1)}
			ordered <- b
			unread <- b
		})
	}()
	for range readers {
		go func() {
			otlp := newOTLPReader(without)
			for b := range unread {
				var lines []inputLine
				for text := range bytes.Lines(b.text) {
					spans, ok := otlp.line(text)
					lines = append(lines, inputLine{text, spans, ok})
				}
				b.lines <- lines
			}
		}()
	}
	for b := range ordered {
		for _, l := range <-b.lines {
			take(l)
		}
	}
	return failed
}

// cutLines cuts r after the ends of lines. Its error is r's, after what came before.
func cutLines(r io.Reader, take func(text []byte)) (err error) {
	in := bufio.NewReader(r)
	for err == nil {
		text := make([]byte, 0, blockSize+blockSize/8) // with room for the rest of a line
		for len(text) < blockSize && err == nil {
			var n int
			n, err = in.Read(text[len(text):blockSize])
			text = text[:len(text)+n]
		}
		if err == nil {
			var rest []byte
			rest, err = in.ReadBytes('\n')
			text = append(text, rest...)
		}
		if len(text) > 0 {
			take(text)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
