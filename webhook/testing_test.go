// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"testing"
)

// canceled is a context that has ended.
func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
