// SPDX-License-Identifier: Apache-2.0

package engine

// Table is for tests that hold other packages against it.
var Table = table
