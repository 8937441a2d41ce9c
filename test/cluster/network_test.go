// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"testing"
)

func TestCandidatesLeaveOutWhatTheHostRoutes(t *testing.T) {
	for name, c := range map[string]struct {
		routes []string
		first  string
	}{
		"nothing routed":                        {nil, "10.200.0.0/16"},
		"a default route is not in the way":     {[]string{"0.0.0.0/0"}, "10.200.0.0/16"},
		"another cluster's block":               {[]string{"10.200.0.0/16"}, "10.201.0.0/16"},
		"a single address inside a block":       {[]string{"10.200.7.7/32"}, "10.201.0.0/16"},
		"all of 10.0.0.0/8, as in a VPN":        {[]string{"10.0.0.0/8"}, "172.31.0.0/16"},
		"Docker's default networks as well":     {[]string{"10.0.0.0/8", "172.16.0.0/12"}, "198.18.0.0/16"},
		"a network that has nothing to do with": {[]string{"192.168.1.0/24"}, "10.200.0.0/16"},
	} {
		t.Run(name, func(t *testing.T) {
			var routes []netip.Prefix
			for _, r := range c.routes {
				routes = append(routes, netip.MustParsePrefix(r))
			}
			if got := candidates(routes)[0].Block; got != c.first {
				t.Errorf("first candidate: %s, want %s", got, c.first)
			}
		})
	}
}

func TestCandidatesRunOutWhereEverythingIsRouted(t *testing.T) {
	if got := candidates([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/1"), netip.MustParsePrefix("128.0.0.0/1")}); len(got) != 0 {
		t.Errorf("candidates: %v", got)
	}
}

func TestTheRangesOfANetworkAreApart(t *testing.T) {
	for _, n := range candidates(nil) {
		block := netip.MustParsePrefix(n.Block)
		pods, services := netip.MustParsePrefix(n.PodCIDR), netip.MustParsePrefix(n.ServiceCIDR)
		link := netip.PrefixFrom(netip.MustParseAddr(n.NodeIP), linkBits).Masked()
		ranges := []netip.Prefix{pods, services, link}
		for i, a := range ranges {
			if !block.Overlaps(a) || block.Bits() > a.Bits() {
				t.Errorf("%s is not in %s", a, block)
			}
			for _, b := range ranges[i+1:] {
				if a.Overlaps(b) {
					t.Errorf("%s and %s overlap", a, b)
				}
			}
		}
		if !link.Contains(netip.MustParseAddr(n.HostIP)) {
			t.Errorf("host %s is not on the node's link %s", n.HostIP, link)
		}
		for _, ip := range []string{n.ServiceIP, n.DNSIP} {
			if !services.Contains(netip.MustParseAddr(ip)) {
				t.Errorf("%s is not in %s", ip, services)
			}
		}
		if len(n.Link) > 15 { // IFNAMSIZ
			t.Errorf("link name %q is too long", n.Link)
		}
	}
}

func TestEveryCandidateHasALinkOfItsOwn(t *testing.T) {
	var links []string
	for _, n := range candidates(nil) {
		if slices.Contains(links, n.Link) {
			t.Errorf("two candidates use %s", n.Link)
		}
		links = append(links, n.Link)
	}
}
