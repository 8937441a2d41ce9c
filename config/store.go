// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// pollInterval is how soon a change of the file is seen. The kubelet itself takes up to a minute to bring a changed
// ConfigMap to a node, so that watching for file events would gain nothing and break on its symlink swap.
const pollInterval = 2 * time.Second

// Store is a policy file that is read again when it changes. A bad file is reported and the last good one kept.
type Store struct {
	// OnChange is called after each change of the file: with the new policy, or with the one that stays and why.
	OnChange func(*Policy, error)

	path     string
	current  atomic.Pointer[Policy]
	interval time.Duration
	last     []byte // the content last read, good or bad
	missing  bool
}

// Open reads the file once. An empty path is the default policy, for good.
func Open(path string) (*Store, error) {
	s := &Store{path: path, interval: pollInterval}
	if path == "" {
		s.current.Store(Default())
		return s, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return s, s.take(data)
}

// take makes the policy of the file's content, unless it is bad.
func (s *Store) take(data []byte) error {
	s.last = data
	policy, err := Parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	sum := sha256.Sum256(data)
	policy.Digest = hex.EncodeToString(sum[:6])
	s.current.Store(policy)
	return nil
}

// Policy is the last good one. It is shared: do not change it.
func (s *Store) Policy() *Policy { return s.current.Load() }

// Run looks for changes until the context ends.
func (s *Store) Run(ctx context.Context) error {
	if s.path == "" {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.reload()
		}
	}
}

// reload compares contents, not times: a ConfigMap mount swaps a symlink and its files may carry equal times.
func (s *Store) reload() {
	data, err := os.ReadFile(s.path)
	switch {
	case err != nil && s.missing, err == nil && !s.missing && bytes.Equal(data, s.last):
		return
	case err != nil:
		s.missing, err = true, fmt.Errorf("read policy: %w", err)
	default:
		s.missing, err = false, s.take(data)
	}
	if s.OnChange != nil {
		s.OnChange(s.Policy(), err)
	}
}
