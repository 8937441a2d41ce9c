// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
)

// joinNode connects the host to the network namespace of process pid and returns the network both now
// share. Link and route go when that namespace goes. The link's name is the lock: creating one that
// exists fails, so two clusters that start at once never take the same block.
func joinNode(pid int) (network, error) {
	routes, err := hostRoutes()
	if err != nil {
		return network{}, err
	}
	for _, n := range candidates(routes) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = n.Link
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsPid(pid)}
		err := netlink.LinkAdd(veth)
		if errors.Is(err, syscall.EEXIST) {
			continue
		}
		if err != nil {
			return network{}, fmt.Errorf("create link %s: %w", n.Link, err)
		}
		if err := addressHost(n); err != nil {
			return network{}, err
		}
		return n, nil
	}
	return network{}, errors.New("find a free network: all candidates overlap a route of this machine")
}

func hostRoutes() ([]netip.Prefix, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var prefixes []netip.Prefix
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP.To4())
		if !ok {
			continue
		}
		ones, _ := r.Dst.Mask.Size()
		prefixes = append(prefixes, netip.PrefixFrom(addr, ones))
	}
	return prefixes, nil
}

func addressHost(n network) error {
	link, err := raise(n.Link, n.HostIP)
	if err != nil {
		return err
	}
	_, block, err := net.ParseCIDR(n.Block)
	if err != nil {
		return fmt.Errorf("parse block: %w", err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: block, Gw: net.ParseIP(n.NodeIP)}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("route %s: %w", n.Block, err)
	}
	return nil
}

// addressNode runs inside the node's network namespace.
func addressNode(n network) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("raise loopback: %w", err)
	}
	link, err := raise("eth0", n.NodeIP)
	if err != nil {
		return err
	}
	// The kubelet and kube-proxy look for the default route to find the node's address.
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(n.HostIP)}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("add default route: %w", err)
	}
	// Not a Service: DNS should work as soon as the API server does, whatever kube-proxy is at. The
	// address is in the part of the range from which none is given out unasked.
	dns := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(n.DNSIP), Mask: net.CIDRMask(32, 32)}}
	if err := netlink.AddrAdd(lo, dns); err != nil {
		return fmt.Errorf("address cluster DNS: %w", err)
	}
	for _, s := range []string{"net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet"} {
		if err := os.WriteFile("/proc/sys/"+s, []byte("1"), 0); err != nil {
			return fmt.Errorf("set %s: %w", s, err)
		}
	}
	return nil
}

func raise(name, ip string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find link %s: %w", name, err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(ip), Mask: net.CIDRMask(linkBits, 32)}}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return nil, fmt.Errorf("address %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("raise %s: %w", name, err)
	}
	return link, nil
}

// linkExists tells whether the host's end is still there; the kernel removes it a moment after the
// last process of the namespace is gone.
func linkExists(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// deleteLink removes our end of a pair of links. It would go with the node's network namespace, but half-closed
// connections hold that for a minute after its last process has ended.
func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && linkExists(name) {
		return fmt.Errorf("delete link %s: %w", name, err)
	}
	return nil
}
