// SPDX-License-Identifier: Apache-2.0

// Package advice says of a start what would have made it quicker, and by how much at most. Rules are data; what one saves
// is found by replaying the start with the phases at fault shortened, so that a pull beside a longer pull saves nothing.
//
// It is pure: traces in, text out.
package advice
