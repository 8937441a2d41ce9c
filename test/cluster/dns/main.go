// SPDX-License-Identifier: Apache-2.0

// Command dns is CoreDNS with only the plugins that the test cluster's configuration names.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	// The order in which plugins see a query; those that are not here can't be configured.
	dnsserver.Directives = []string{"bind", "ready", "errors", "loadbalance", "hosts", "kubernetes", "template"}
	coremain.Run()
}
