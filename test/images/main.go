// SPDX-License-Identifier: Apache-2.0

// Command images builds coldtrace's images and those that the tests need, and pushes them to a registry, without Docker.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Config says what to build and where it goes.
type Config struct {
	Registry string    // host:port, or a registry's name with a path
	Tag      string    // of every image; a variant of sim has one of its own
	Version  string    // stamped into our binaries
	Arches   []string  // GOARCH values; several make an index
	Variants []Variant // of sim
	Names    []string  // none: all of them
	Insecure bool      // plain HTTP whatever the registry's name; loopback and private addresses are so anyway
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	config, err := parse(args)
	if err != nil {
		return err
	}
	checkout, err := findCheckout()
	if err != nil {
		return err
	}
	if config.Version == "" {
		config.Version = gitVersion(ctx, checkout)
	}
	return push(ctx, config, checkout, out)
}

func parse(args []string) (Config, error) {
	var c Config
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is said once, by main
	flags.StringVar(&c.Registry, "registry", "", "`HOST:PORT` to push to")
	flags.StringVar(&c.Tag, "tag", "dev", "tag of the images")
	flags.StringVar(&c.Version, "version", "", "version stamped into our binaries (default: what git describes)")
	flags.BoolVar(&c.Insecure, "insecure", false, "speak plain HTTP to the registry")
	arches := flags.String("arch", runtime.GOARCH, "`GOARCH`, or several with commas, which make an index")
	flags.Func("variant", "push sim with other Python packages too, tagged `vllm=0.17.0,otel=full|grpc|half|none`; \"all\": every one the tests know (repeatable)",
		func(value string) error {
			variants, err := parseVariants(value)
			c.Variants = append(c.Variants, variants...)
			return err
		})
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Printf("usage: images --registry HOST:PORT [flags] [%s]…\n", strings.Join(imageNames(), "|"))
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		return c, err
	} else if err != nil {
		return c, fmt.Errorf("parse flags: %w", err)
	}
	c.Names, c.Arches = flags.Args(), strings.Split(*arches, ",")
	if c.Registry == "" {
		return c, errors.New("--registry says where to push, for example 127.0.0.1:5000")
	}
	for _, name := range c.Names {
		if recipeOf(name) == nil {
			return c, fmt.Errorf("there is no image %q; there are %s", name, strings.Join(imageNames(), ", "))
		}
	}
	if len(c.Names) == 0 {
		c.Names = imageNames()
	}
	return c, nil
}

// findCheckout walks up to the root module.
func findCheckout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("get working folder: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "coldtrace-wrapper")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find checkout: run this inside the coldtrace repository")
		}
	}
}

const noGit = "dev"

// gitVersion is the version that the Makefile stamps too, noGit of a checkout that git does not know.
func gitVersion(ctx context.Context, checkout string) string {
	out, err := exec.CommandContext(ctx, "git", "-C", checkout, "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return noGit
	}
	return strings.TrimSpace(string(out))
}
