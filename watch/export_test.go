// SPDX-License-Identifier: Apache-2.0

package watch

// Remembers tells whether a checkpoint has what the id stands for as told.
func Remembers(checkpoint map[string][]byte, id [16]byte) (bool, error) {
	r, err := decodeRecord(checkpoint)
	if err != nil {
		return false, err
	}
	_, ok := r.recent[id]
	return ok, nil
}
