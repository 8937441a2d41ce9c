// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
)

// What needs Linux says so; `build` works everywhere, and with it the tests against a bare API server.

var errNotLinux = fmt.Errorf("this needs Linux, and here is %s\n%s", runtime.GOOS, elsewhere)

func up(context.Context, layout, *progress, mode) error { return errNotLinux }

func down(context.Context, layout, *progress) error { return errNotLinux }

func startAddon(context.Context, layout, *progress, string) error { return errNotLinux }

func stopAddon(layout, *progress, string) error { return errNotLinux }

func execNode(layout, []string) (int, error) { return 1, errNotLinux }

func status(layout, io.Writer) (int, error) { return 1, errNotLinux }

func runKeeper(layout) error { return errors.ErrUnsupported }

func runNode(layout) error { return errors.ErrUnsupported }

func runControlPlane(layout) error { return errors.ErrUnsupported }
