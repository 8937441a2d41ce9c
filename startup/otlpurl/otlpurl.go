// SPDX-License-Identifier: Apache-2.0

// Package otlpurl reads OTLP endpoints as people write them. It imports next to nothing, so that a wrapper about to
// start its command can afford it.
package otlpurl

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Parse reads an OTLP endpoint: a URL, or host:port, which is plain text unless secure. A bare IPv6 host gets its
// brackets: http://$(HOST_IP):4317 lacks them on an IPv6 node. The scheme of the result is http or https. Its errors
// never quote the endpoint, which may hold a password.
func Parse(raw string, secure bool) (*url.URL, error) {
	scheme, rest, found := strings.Cut(strings.TrimSpace(raw), "://")
	if !found {
		scheme, rest = "http", scheme
		if secure {
			scheme = "https"
		}
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "http", "https":
	case "grpc":
		scheme = "http"
	case "grpcs":
		scheme = "https"
	default:
		return nil, fmt.Errorf("unknown scheme %q in the OTLP endpoint: use http or https", scheme)
	}
	authority, path, slash := strings.Cut(rest, "/")
	if slash {
		path = "/" + path
	}
	u, err := url.Parse(scheme + "://" + bracket(authority) + path)
	if err != nil {
		return nil, errors.New("the OTLP endpoint is not a URL")
	}
	if u.Hostname() == "" {
		return nil, errors.New("the OTLP endpoint has no host")
	}
	return u, nil
}

// bracket encloses the host of an authority that is a bare IPv6 address, with or without a port.
func bracket(authority string) string {
	if strings.Count(authority, ":") < 2 || strings.Contains(authority, "[") {
		return authority
	}
	// A last group may be a port or part of the address. OTLP's own ports, and what would be no address, are ports.
	i := strings.LastIndexByte(authority, ':')
	host, port := authority[:i], authority[i+1:]
	if isAddress(host) && (!isAddress(authority) || port == "4317" || port == "4318") {
		return "[" + host + "]:" + port
	}
	if isAddress(authority) {
		return "[" + authority + "]"
	}
	return authority
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
