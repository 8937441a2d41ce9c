// SPDX-License-Identifier: Apache-2.0

// Command s3 serves a bucket of made-up model weights over the S3 protocol, so that the real s5cmd has something real to
// download. Nothing is on disk: the bytes of an object follow from its name and an offset.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// Config says what to serve and where.
type Config struct {
	Listen  string        // host:port; port 0 takes a free one
	Bucket  string        // the only bucket
	Model   string        // the folder in it
	Size    int64         // bytes of all shards together
	Shards  int           // number of .safetensors files
	Rate    int64         // bytes per second over all connections together; 0: as fast as it goes
	Latency time.Duration // before the first byte of each answer
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "s3:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	config, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return fmt.Errorf("listen for S3 requests: %w", err)
	}
	fmt.Printf("s3: s3://%s/%s/ (%d MB in %d shards, %s) at http://%s\n",
		config.Bucket, config.Model, config.Size/megabyte, config.Shards, speed(config.Rate), listener.Addr())

	server := &http.Server{Handler: NewHandler(config), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		server.Close() // downloads that are under way end with the process anyway
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve S3 requests: %w", err)
	}
	return nil
}

const megabyte = 1_000_000

func parse(args []string) (Config, error) {
	var c Config
	flags := flag.NewFlagSet("s3", flag.ExitOnError)
	flags.StringVar(&c.Listen, "listen", "127.0.0.1:9000", "`host:port` to serve on")
	flags.StringVar(&c.Bucket, "bucket", "models", "`name` of the bucket")
	flags.StringVar(&c.Model, "model", "llama-3-1-8b-instruct", "`name` of the model, a folder in the bucket")
	flags.IntVar(&c.Shards, "shards", 6, "number of .safetensors files")
	flags.DurationVar(&c.Latency, "latency", 0, "wait before the first byte of each answer")
	size := flags.Int64("size", 300, "`MB` of all shards together")
	rate := flags.Int64("rate", 0, "`MB/s` for all connections together; 0: no limit")
	if err := flags.Parse(args); err != nil {
		return c, fmt.Errorf("parse flags: %w", err)
	}
	c.Size, c.Rate = *size*megabyte, *rate*megabyte
	switch {
	case c.Bucket == "", c.Model == "":
		return c, errors.New("bucket and model must have a name")
	case c.Shards < 1, c.Size < int64(c.Shards)*megabyte:
		return c, errors.New("there must be at least one shard, of at least 1 MB")
	case c.Rate < 0, c.Latency < 0:
		return c, errors.New("rate and latency must not be negative")
	}
	return c, nil
}

func speed(bytesPerSecond int64) string {
	if bytesPerSecond == 0 {
		return "unlimited"
	}
	return fmt.Sprintf("%d MB/s", bytesPerSecond/megabyte)
}

// NewHandler answers S3 requests for the bucket that config describes. config must be valid.
func NewHandler(config Config) http.Handler {
	bucket := NewBucket(config.Bucket, NewModel(config.Model, config.Size, config.Shards))
	return throttle(gofakes3.New(bucket).Server(), config.Rate, config.Latency)
}
