// SPDX-License-Identifier: Apache-2.0

// Command pause holds a pod's namespaces open: it is the sandbox container of the test cluster.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
