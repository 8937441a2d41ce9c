// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"crypto/sha256"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/types"
)

// uid is a pod's UID in 16 bytes.
type uid [16]byte

func parseUID(id types.UID) uid {
	if u, err := uuid.Parse(string(id)); err == nil {
		return uid(u)
	}
	sum := sha256.Sum256([]byte(id)) // static pods have UIDs of other shapes
	return uid(sum[:16])
}
