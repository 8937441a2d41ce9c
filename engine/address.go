// SPDX-License-Identifier: Apache-2.0

// Package engine is what is known of model servers before they say a word: where they tell whether they are ready. It is
// pure, uses the standard library only, and is shared by admission, the wrapper and the command-line tool.
package engine

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Address is where a server of this pod tells whether it is ready, and how it is asked.
type Address struct {
	Scheme string // http, https, grpc, grpcs (any certificate will do), or tcp: that it listens is all there is to hear
	Port   int    // on whichever of the pod's own addresses
	Socket string // the path of a Unix socket instead
	Path   string // what is asked for: a path of HTTP's, a service of gRPC's (empty: the server as a whole)
}

// ports are those of a URL that names none.
var ports = map[string]int{"http": 80, "https": 443, "grpc": 0, "grpcs": 0, "tcp": 0}

const overUnix = "+unix"

// String is the URL: http://localhost:8000/health, grpc://localhost:9000/service, http+unix:///run/server.sock:/health.
func (a Address) String() string {
	path := a.Path
	if a.Scheme == "grpc" || a.Scheme == "grpcs" {
		path = strings.TrimSuffix("/"+path, "/")
	}
	switch {
	case a == Address{}:
		return ""
	case a.Socket != "":
		return a.Scheme + overUnix + "://" + a.Socket + ":" + path
	}
	return a.Scheme + "://localhost:" + strconv.Itoa(a.Port) + path
}

// ParseAddress reads what String writes, and a URL with any other name of this machine. Of another machine's it returns an
// error.
func ParseAddress(s string) (Address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Address{}, errors.New("is not a URL")
	}
	scheme, unix := strings.CutSuffix(u.Scheme, overUnix)
	port, known := ports[scheme]
	if !known || u.User != nil {
		return Address{}, errors.New("is not an http://, https://, grpc:// or tcp:// URL")
	}
	a := Address{Scheme: scheme, Path: u.RequestURI()}
	if unix {
		i := strings.LastIndexByte(a.Path, ':')
		if i < 1 || u.Host != "" {
			return Address{}, errors.New("is not of the form http+unix:///path/of.socket:/health")
		}
		a.Socket, a.Path = a.Path[:i], a.Path[i+1:]
	} else {
		if host := u.Hostname(); !own(host) {
			return Address{}, fmt.Errorf("host %q is not localhost, 127.0.0.1 or [::1]", host)
		}
		if u.Port() != "" {
			port, err = strconv.Atoi(u.Port())
		}
		if err != nil || port < 1 || port >= 1<<16 {
			return Address{}, errors.New("has no port")
		}
		a.Port = port
	}
	switch scheme {
	case "grpc", "grpcs":
		a.Path = strings.TrimPrefix(a.Path, "/")
	case "tcp":
		a.Path = ""
	}
	return a, nil
}

// own tells the names of this machine.
func own(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}
