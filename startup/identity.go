// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"crypto/fips140"
	"crypto/md5" //nolint:gosec // an identifier that others derive as well, not security
	"crypto/sha256"
	"strconv"

	"go.opentelemetry.io/otel/trace"
)

// Hash is the function that derives trace and span ids from a pod's UID.
type Hash string

// The hashes of the trace contract. MD5 is the default; SHA256 joins spans to those that model-engine's own startup
// tracing emits.
const (
	MD5    Hash = "md5"
	SHA256 Hash = "sha256"
)

// HashOf reads a Hash; nothing, or what is unknown, is MD5.
func HashOf(s string) Hash {
	if Hash(s) == SHA256 {
		return SHA256
	}
	return MD5
}

// TraceID is the first 16 bytes of the hash of the pod's UID, as the API server prints it: lower case with dashes.
func (h Hash) TraceID(podUID string) trace.TraceID {
	return trace.TraceID(h.sum(podUID)[:16])
}

// SpanID is the first 8 bytes of the hash of the pod's UID, a colon and the span's key.
func (h Hash) SpanID(podUID, key string) trace.SpanID {
	return trace.SpanID(h.sum(podUID + ":" + key)[:8])
}

func (h Hash) sum(s string) []byte {
	if h == SHA256 {
		sum := sha256.Sum256([]byte(s))
		return sum[:]
	}
	var sum [md5.Size]byte
	// Under GODEBUG=fips140=only crypto/md5 panics; here it only names things.
	fips140.WithoutEnforcement(func() {
		sum = md5.Sum([]byte(s)) //nolint:gosec // see the import
	})
	return sum[:]
}

// KeyInContainer is the key of the span `startup`, the name model-engine's own startup tracing uses for it.
const KeyInContainer = "in_container_startup"

// Key is the identity of a span within its trace: its name alone where a pod has one of it.
// Otherwise the container (or volume) it belongs to and, from the second attempt on, the attempt follow it:
// "image_pull:main", "vllm_init#2", "container_creating:main#3". Attempts count from 1.
func Key(name, of string, attempt int) string {
	key := name
	if name == SpanStartup {
		key = KeyInContainer
	}
	if of != "" {
		key += ":" + of
	}
	if attempt > 1 {
		key += "#" + strconv.Itoa(attempt)
	}
	return key
}
