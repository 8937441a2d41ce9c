// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
)

// network is one free /16 cut into what a cluster needs. Each cluster has its own, so that several run on
// one machine and the host can route to all of them.
type network struct {
	Link        string // the host's end of the veth pair
	HostIP      string // the host, seen from the node
	NodeIP      string // the node, seen from the host and from pods
	Block       string // the whole /16, routed to the node
	PodCIDR     string
	ServiceCIDR string
	ServiceIP   string // the API server's, in ServiceCIDR
	DNSIP       string // the cluster DNS's, in ServiceCIDR
}

const linkBits = 30

// newNetwork cuts the block a.b.0.0/16.
func newNetwork(a, b byte) network {
	p := func(format string) string { return fmt.Sprintf(format, a, b) }
	return network{
		Link:        p("ct-%d-%d"),
		HostIP:      p("%d.%d.255.1"),
		NodeIP:      p("%d.%d.255.2"),
		Block:       p("%d.%d.0.0/16"),
		PodCIDR:     p("%d.%d.0.0/17"),
		ServiceCIDR: p("%d.%d.128.0/18"),
		ServiceIP:   p("%d.%d.128.1"),
		DNSIP:       p("%d.%d.128.10"),
	}
}

// candidates are the blocks we may take, most private first. Those that overlap a route of the host are
// left out: a machine in a VPN or a cloud network routes some of them to real places.
func candidates(routes []netip.Prefix) []network {
	var free []network
	try := func(a, b byte) {
		block := netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, 0, 0}), 16)
		for _, r := range routes {
			if r.Bits() > 0 && r.Overlaps(block) {
				return
			}
		}
		free = append(free, newNetwork(a, b))
	}
	for b := byte(200); b < 250; b++ {
		try(10, b)
	}
	for b := byte(31); b > 16; b-- {
		try(172, b)
	}
	// RFC 2544's benchmark range: no one routes it, so it is free where all of RFC 1918 is taken.
	try(198, 18)
	try(198, 19)
	return free
}
