// SPDX-License-Identifier: Apache-2.0

package freeport

import (
	"net"
	"testing"
)

func TestAPortIsGivenOnceAndCanBeListenedAt(t *testing.T) {
	given := map[string]bool{}
	for range 2000 { // of ten thousand, some would come twice
		p := Of(t)
		if given[p] {
			t.Fatalf("%s was given twice", p)
		}
		given[p] = true
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+Of(t))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if other, err := net.ListenPacket("udp", "127.0.0.1:"+Of(t)); err == nil {
		other.Close()
		t.Error("another process may be given the same one")
	}
}
